/** Deployments from apply to deletion. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { ROOT, type Cluster } from './cluster.ts'

const HELLO = join(ROOT, 'deploy/examples/hello')

export function workloads(cluster: () => Cluster): void {
  describe('workloads', () => {
    const pods = async (): Promise<{ name: string; phase: string; node: string; image: string }[]> => {
      const lines = await cluster().ok([
        'get',
        'pods',
        '-l',
        'app=hello',
        '-o',
        'jsonpath={range .items[*]}{.metadata.name} {.status.phase} {.spec.nodeName} {.spec.containers[0].image}{"\\n"}{end}',
      ])
      return lines
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const [name = '', phase = '', node = '', image = ''] = line.split(' ')
          return { name, phase, node, image }
        })
    }

    it('applies the example and waits until it runs, spread over the nodes', async () => {
      const output = await cluster().ok(['apply', '-f', HELLO, '--wait', '--timeout', '60s'])
      assert.match(output, /configmap\/hello-page created/)
      assert.match(output, /deployment\.apps\/hello created/)
      const running = await pods()
      assert.deepEqual(
        running.map(({ phase }) => phase),
        ['Running', 'Running', 'Running'],
      )
      assert.deepEqual(running.map(({ node }) => node).sort(), ['n1', 'n2', 'n3'])
    })

    it('changes nothing when applied again', async () => {
      const before = await cluster().value('deployment/hello', '.metadata.resourceVersion')
      const output = await cluster().ok(['apply', '-f', HELLO])
      assert.match(output, /deployment\.apps\/hello unchanged/)
      assert.equal(await cluster().value('deployment/hello', '.metadata.resourceVersion'), before)
    })

    it('shows it: get, describe', async () => {
      assert.match(
        await cluster().ok(['get', 'deploy']),
        /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nhello +3\/3 +3 +3 +\d+s$/m,
      )
      assert.match(await cluster().ok(['get', 'nodes']), /^n1 +Ready /m)
      const [pod] = await pods()
      const described = await cluster().ok(['describe', 'pod', pod!.name])
      assert.match(described, /Node: +n\d/)
      assert.match(described, /scheduled[\s\S]*started/i)
    })

    it('scales up and down', async () => {
      await cluster().ok(['scale', 'deploy/hello', '--replicas', '5'])
      await eventually(async () => (await pods()).filter(({ phase }) => phase === 'Running').length === 5)
      await cluster().ok(['scale', 'deploy/hello', '--replicas=2'])
      await eventually(async () => (await pods()).length === 2)
    })

    it('rolls out a change, tells its history and takes it back', async () => {
      await cluster().ok([
        'patch',
        'deploy/hello',
        '-p',
        '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"VERSION","value":"2"}]}]}}}}',
      ])
      await cluster().ok(['rollout', 'status', 'deploy/hello', '--timeout', '60s'])
      assert.match(await cluster().ok(['rollout', 'history', 'deploy/hello']), /REVISION[\s\S]*^1 [\s\S]*^2 /m)
      assert.equal(await cluster().ok(['exec', 'deploy/hello', '--', 'sh', '-c', 'echo $VERSION']), '2\n')
      await cluster().ok(['rollout', 'undo', 'deploy/hello'])
      await cluster().ok(['rollout', 'status', 'deploy/hello', '--timeout', '60s'])
      assert.equal(await cluster().ok(['exec', 'deploy/hello', '--', 'sh', '-c', 'echo "[$VERSION]"']), '[]\n')
    })

    it('pauses and resumes a rollout', async () => {
      await cluster().ok(['rollout', 'pause', 'deploy/hello'])
      await cluster().ok([
        'patch',
        'deploy/hello',
        '-p',
        '{"spec":{"template":{"metadata":{"annotations":{"note":"paused"}}}}}',
      ])
      const generation = await cluster().value('deployment/hello', '.metadata.generation')
      await eventually(
        async () => (await cluster().value('deployment/hello', '.status.observedGeneration')) === generation,
      )
      assert.match(await cluster().value('deployment/hello', '.status.updatedReplicas'), /^0?$/)
      await cluster().ok(['rollout', 'resume', 'deploy/hello'])
      await cluster().ok(['rollout', 'status', 'deploy/hello', '--timeout', '60s'])
      assert.equal(await cluster().value('deployment/hello', '.status.updatedReplicas'), '2')
    })

    it('replaces a pod that is deleted', async () => {
      const before = (await pods()).map(({ name }) => name)
      await cluster().ok(['delete', 'pod', before[0]!])
      await eventually(async () => {
        const now = await pods()
        return (
          now.length === 2 &&
          !now.some(({ name }) => name === before[0]) &&
          now.every(({ phase }) => phase === 'Running')
        )
      })
    })

    it('updates files of a ConfigMap in running pods', async () => {
      await cluster().ok([
        'patch',
        'configmap/hello-page',
        '--type',
        'merge',
        '-p',
        '{"data":{"index.html":"changed\\n"}}',
      ])
      await eventually(
        async () => (await cluster().ok(['exec', 'deploy/hello', '--', 'cat', '/www/index.html'])) === 'changed\n',
      )
    })

    it('keeps to nodes that are not cordoned', async () => {
      await cluster().ok(['cordon', 'n1'])
      assert.match(await cluster().ok(['get', 'nodes']), /^n1 +Ready,SchedulingDisabled/m)
      await cluster().ok(['scale', 'deploy/hello', '--replicas', '6'])
      await eventually(async () => (await pods()).filter(({ phase }) => phase === 'Running').length === 6)
      await cluster().ok(['rollout', 'restart', 'deploy/hello'])
      await cluster().ok(['rollout', 'status', 'deploy/hello', '--timeout', '60s'])
      await eventually(async () => (await pods()).length === 6)
      assert.deepEqual([...new Set((await pods()).map(({ node }) => node))].sort(), ['n2', 'n3'])
      await cluster().ok(['uncordon', 'n1'])
    })

    it('says why a pod is placed nowhere, and places it when something helps', async () => {
      await cluster().ok(
        ['apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'picky' },
          spec: {
            nodeSelector: { disk: 'fast' },
            containers: [{ name: 'c', image: 'busybox', command: ['sleep', '1000'] }],
            terminationGracePeriodSeconds: 0,
          },
        }),
      )
      await eventually(async () =>
        /0\/3 nodes/.test(await cluster().value('pod/picky', '.status.conditions[?(@.type=="PodScheduled")].message')),
      )
      assert.match(await cluster().ok(['why', 'pod/picky']), /n1[\s\S]*n2[\s\S]*n3/)
      await cluster().ok(['label', 'node', 'n2', 'disk=fast'])
      await eventually(async () => (await cluster().value('pod/picky', '.status.phase')) === 'Running')
      assert.equal(await cluster().value('pod/picky', '.spec.nodeName'), 'n2')
      await cluster().ok(['label', 'node', 'n2', 'disk-'])
      await cluster().ok(['delete', 'pod', 'picky', '--now'])
    })

    it('deletes a namespace with all that is in it', async () => {
      await cluster().ok(['create', 'namespace', 'short'])
      await cluster().ok(['apply', '-n', 'short', '-f', HELLO, '--wait', '--timeout', '60s'])
      await cluster().ok(['delete', 'namespace', 'short'])
      assert.equal((await cluster().run(['get', 'namespace', 'short'])).code, 3)
      assert.doesNotMatch((await cluster().run(['get', 'pods', '-A'])).stdout, /^short /m)
    })

    it('deletes what was applied, pods included', async () => {
      await cluster().ok(['delete', '-f', HELLO])
      await eventually(async () => (await pods()).length === 0)
      assert.equal((await cluster().ok(['get', 'replicasets', '-o', 'name'])).trim(), '')
    })
  })
}
