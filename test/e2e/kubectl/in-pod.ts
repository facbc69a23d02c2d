/**
 * The API from inside of a pod, as its ServiceAccount: kubectl finds by itself where it is, and the token that is
 * mounted.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { eventually } from '../../eventually.ts'
import { pod, type Kubectl, type Pod, type KubectlResult } from './kubectl.ts'

const KUBECTL = '/usr/bin/kubectl'
const MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

/** kubectl, and what it is linked with, out of the node's own files. */
function mounts(): { readonly volumes: object[]; readonly volumeMounts: object[] } {
  const libraries = execFileSync('ldd', [KUBECTL], { encoding: 'utf8' }).match(/\/\S+(?= \()/g) ?? []
  const paths = [KUBECTL, ...libraries]
  return {
    volumes: paths.map((path, index) => ({
      name: `file-${index}`,
      hostPath: { path: realpathSync(path), type: 'File' },
    })),
    volumeMounts: paths.map((path, index) => ({ name: `file-${index}`, mountPath: path, readOnly: true })),
  }
}

export function inPod(root: () => Kubectl): void {
  describe('in a pod', () => {
    let kubectl: Kubectl

    function client(name: string, serviceAccountName: string): Pod {
      const { volumes, volumeMounts } = mounts()
      return pod(name, 'sleep 3600', { container: { volumeMounts }, spec: { serviceAccountName, volumes } })
    }

    before(async () => {
      kubectl = await root().within('in-pod')
      await Promise.all(['viewer', 'editor'].map((name) => kubectl.ok(`create serviceaccount ${name}`)))
      await kubectl.ok('annotate serviceaccount editor gantry.dev/access=edit')
      await kubectl.ok('annotate serviceaccount viewer gantry.dev/access=view')
      await kubectl.ready(client('viewer', 'viewer'), client('editor', 'editor'))
    })
    after(() => kubectl.leave())

    const within = (name: string, ...command: string[]): Promise<KubectlResult> =>
      kubectl.run(['exec', name, '--', ...command])
    const said = async (name: string, ...command: string[]): Promise<string> => {
      const { code, stdout, stderr } = await within(name, ...command)
      if (code !== 0) throw new Error(`${command.join(' ')} in ${name} ended with ${code}\n${stdout}${stderr}`)
      return stdout
    }
    const forbidden = async (name: string, ...command: string[]): Promise<void> => {
      const { code, stderr } = await within(name, 'kubectl', ...command)
      assert.deepEqual(
        [code === 0, /forbidden/i.test(stderr)],
        [false, true],
        `${name}: kubectl ${command.join(' ')}: ${stderr}`,
      )
    }

    it("is the pod's account, and may do what that may", async () => {
      const [who, pods, host, names] = await Promise.all([
        said('viewer', 'kubectl', 'auth', 'whoami'),
        said('viewer', 'kubectl', 'get', 'pods', '-o', 'name'),
        said('viewer', 'sh', '-c', 'echo $KUBERNETES_SERVICE_HOST'),
        said('viewer', 'nslookup', '-type=a', 'kubernetes.default.svc.cluster.local'),
        forbidden('viewer', 'get', 'secrets'),
        forbidden('viewer', 'get', 'pods', '-n', 'default'),
        forbidden('viewer', 'create', 'configmap', 'mine'),
        forbidden('viewer', 'get', 'nodes'),
      ])
      assert.match(who, /^Username +system:serviceaccount:in-pod:viewer$/m)
      assert.match(who, /^Extra: authentication\.kubernetes\.io\/pod-name +\[viewer\]$/m)
      assert.deepEqual(pods.trim().split('\n').sort(), ['pod/editor', 'pod/viewer'])
      assert.ok(names.includes(host.trim()), names)
    })

    it('writes in its namespace as an editor, and gets no more power than it has', async () => {
      await said('editor', 'kubectl', 'create', 'configmap', 'mine', '--from-literal=a=b')
      assert.equal(await kubectl.value('configmap/mine', '.data.a'), 'b')
      // With --as kubectl does not look by itself for where it is.
      const explicit = `kubectl --server=https://kubernetes.default.svc --certificate-authority=${MOUNT}/ca.crt --token=$(cat ${MOUNT}/token)`
      assert.match(await said('editor', 'sh', '-c', `${explicit} get configmap mine -o name`), /^configmap\/mine$/m)
      assert.match(
        (await within('editor', 'sh', '-c', `${explicit} --as=admin --as-group=system:masters get pods`)).stderr,
        /cannot impersonate resource "users"/,
      )
      await Promise.all([
        forbidden('editor', 'annotate', 'serviceaccount', 'editor', 'gantry.dev/access=admin', '--overwrite'),
        forbidden('editor', 'create', 'token', 'viewer'),
        forbidden('editor', 'create', 'serviceaccount', 'other'),
        forbidden('editor', 'create', 'configmap', 'mine', '-n', 'default'),
      ])
    })

    it('has a token that is replaced while it runs', async () => {
      const token = (): Promise<string> => said('viewer', 'cat', `${MOUNT}/token`)
      const before = await token()
      await kubectl.ok('delete serviceaccount viewer')
      assert.notEqual((await within('viewer', 'kubectl', 'get', 'pods')).code, 0)
      await kubectl.ok('create serviceaccount viewer')
      await kubectl.ok('annotate serviceaccount viewer gantry.dev/access=view')
      await eventually(async () => {
        assert.notEqual(await token(), before)
        await said('viewer', 'kubectl', 'get', 'pods')
      }, 30_000)
    })
  })
}
