/** Every generator of `kubectl create`, `run`, `expose`, `autoscale`; those of kinds that are not served say so. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../../eventually.ts'
import { selfSigned } from '../../self-signed.ts'
import { awaitOutput, type Kubectl } from './kubectl.ts'

export function creating(root: () => Kubectl): void {
  describe('create, run and expose', () => {
    let kubectl: Kubectl

    before(async () => {
      kubectl = await root().within('creating')
      await kubectl.ok('create deployment web --image=gantry/hello:1.0 --port=8080 --replicas=2')
    })
    after(() => kubectl.leave())

    it('makes ConfigMaps and Secrets of literals, files and folders', async () => {
      await Promise.all([
        kubectl.file('one.txt', 'eins\n'),
        kubectl.file('env', 'A=1\nB=two words\n'),
        kubectl.file('bytes', Buffer.from([0, 255, 254])),
      ])
      await Promise.all([
        kubectl.ok([
          'create',
          'configmap',
          'mixed',
          '--from-literal=k=v',
          '--from-file=one.txt',
          '--from-file=named=one.txt',
          '--from-file=bytes',
        ]),
        kubectl.ok('create configmap env --from-env-file=env'),
        kubectl.ok('create secret generic plain --from-literal=password=hush --from-file=bytes'),
        kubectl.ok(
          'create secret docker-registry pull --docker-server=registry.example --docker-username=u --docker-password=p',
        ),
        kubectl.ok('create configmap hashed --from-literal=a=b --append-hash'),
      ])
      const [mixed, env, plain, pull, hashed] = await Promise.all([
        kubectl.json<{ data: object; binaryData: object }>('get configmap mixed'),
        kubectl.json<{ data: object }>('get configmap env'),
        kubectl.json<{ type: string; data: object }>('get secret plain'),
        kubectl.json<{ type: string; data: { '.dockerconfigjson': string } }>('get secret pull'),
        kubectl.ok('get configmaps -o name'),
      ])
      assert.deepEqual(
        [mixed.data, mixed.binaryData],
        [{ k: 'v', 'one.txt': 'eins\n', named: 'eins\n' }, { bytes: 'AP/+' }],
      )
      assert.deepEqual(env.data, { A: '1', B: 'two words' })
      assert.deepEqual([plain.type, plain.data], ['Opaque', { bytes: 'AP/+', password: 'aHVzaA==' }])
      assert.equal(pull.type, 'kubernetes.io/dockerconfigjson')
      assert.deepEqual(
        (JSON.parse(Buffer.from(pull.data['.dockerconfigjson'], 'base64').toString()) as { auths: object }).auths,
        { 'registry.example': { username: 'u', password: 'p', auth: 'dTpw' } },
      )
      assert.match(hashed, /^configmap\/hashed-\w{10}$/m)
    })

    it('makes Secrets of certificates', async () => {
      const { cert, key } = await selfSigned('served.example')
      await Promise.all([
        kubectl.file('tls.crt', cert),
        kubectl.file('tls.key', key),
        kubectl.file(
          'other.key',
          generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
        ),
      ])
      await kubectl.ok('create secret tls served --cert=tls.crt --key=tls.key')
      assert.deepEqual(
        await kubectl.ok(['get', 'secret', 'served', '-o', 'jsonpath={.type} {.data.tls\\.crt}']),
        `kubernetes.io/tls ${Buffer.from(await readFile(join(kubectl.folder, 'tls.crt'))).toString('base64')}`,
      )
      assert.match(
        await kubectl.refused('create secret tls wrong --cert=tls.crt --key=other.key'),
        /private key does not match public key/,
      )
    })

    it('makes Services of every type, and an Ingress', async () => {
      await Promise.all([
        kubectl.ok('create service clusterip ci --tcp=80:8080 --tcp=81'),
        kubectl.ok('create service clusterip headless --clusterip=None'),
        kubectl.ok('create service nodeport np --tcp=80:8080'),
        kubectl.ok('create service loadbalancer lb --tcp=80:8080'),
        kubectl.ok('create service externalname en --external-name=example.org'),
        kubectl.ok([
          'create',
          'ingress',
          'in',
          '--rule=foo.example/path*=web:8080,tls=cert',
          '--default-backend=web:8080',
        ]),
      ])
      const [types, ports, ingress] = await Promise.all([
        kubectl.ok(['get', 'services', '-o', 'jsonpath={range .items[*]}{.metadata.name}:{.spec.type} {end}']),
        kubectl.value('service/ci', '.spec.ports[*].targetPort'),
        kubectl.ok('get ingress in --no-headers'),
      ])
      assert.equal(types, 'ci:ClusterIP en:ExternalName headless:ClusterIP lb:LoadBalancer np:NodePort ')
      assert.equal(ports, '8080 81')
      assert.match(ingress, /^in +<none> +foo\.example +\S* +80, 443 +\d+s$/m)
    })

    it('makes namespaces and ServiceAccounts, and gives tokens', async () => {
      await Promise.all([kubectl.ok('create serviceaccount bot'), kubectl.ok('create namespace creating-more')])
      const token = (
        await kubectl.ok('create token bot --duration=20m --audience=https://kubernetes.default.svc.cluster.local')
      ).trim()
      assert.match(
        await kubectl.ok(['auth', 'whoami', '--token', token, '--kubeconfig', await tokenOnly()]),
        /^Username +system:serviceaccount:creating:bot$/m,
      )
      const { exp, iat } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as {
        exp: number
        iat: number
      }
      assert.equal(exp - iat, 1200)
      assert.match(await kubectl.refused('create token nobody'), /serviceaccounts "nobody" not found/)
      await kubectl.ok('delete namespace creating-more')
    })

    /** The kubeconfig without its client certificate. */
    async function tokenOnly(): Promise<string> {
      const config = JSON.parse(await readFile(kubectl.kubeconfig, 'utf8')) as { users: { user: object }[] }
      for (const entry of config.users) entry.user = {}
      await kubectl.file('token-only', JSON.stringify(config), 0o600)
      return 'token-only'
    }

    it('says which kinds are not served', async () => {
      const commands = [
        'create job j --image=busybox',
        'create cronjob c --image=busybox --schedule=@daily',
        'create role r --verb=get --resource=pods',
        'create clusterrole r --verb=get --resource=pods',
        'create quota q --hard=pods=1',
        'create poddisruptionbudget p --selector=a=b --min-available=1',
        'create priorityclass p --value=1',
        'autoscale deployment web --max=3',
      ]
      for (const said of await Promise.all(commands.map((command) => kubectl.refused(command))))
        assert.match(said, /the server could not find the requested resource/)
    })

    it('prints what it would create', async () => {
      const [client, server] = await Promise.all([
        kubectl.ok('create deployment dry --image=busybox --dry-run=client -o yaml'),
        kubectl.ok('create deployment dry --image=busybox --dry-run=server -o json'),
      ])
      assert.match(client, /^kind: Deployment$/m)
      assert.equal(
        (JSON.parse(server) as { spec: { progressDeadlineSeconds: number } }).spec.progressDeadlineSeconds,
        600,
      )
      assert.match(await kubectl.refused('get deployment dry'), /NotFound/)
    })

    it('runs pods: to their end, in the background, with what they are told', async () => {
      const [output, code] = await Promise.all([
        kubectl.run('run once --image=busybox --restart=Never --rm -i --quiet -- sh -c cat', { stdin: 'through\n' }),
        kubectl.run(
          [
            'run',
            'fails',
            '--image=busybox',
            '--restart=Never',
            '-i',
            '--rm',
            '--quiet',
            '--',
            'sh',
            '-c',
            'cat; exit 3',
          ],
          { stdin: 'x\n' },
        ),
        kubectl.ok(
          'run server --image=gantry/hello:1.0 --port=8080 --expose --labels=app=server,tier=front --env=COLOR=blue --restart=Always',
        ),
      ])
      assert.deepEqual([output.code, output.stdout], [0, 'through\n'])
      assert.equal(code.code, 3, code.stderr)
      await Promise.all(['once', 'fails'].map((name) => kubectl.refused(`get pod ${name}`)))
      await kubectl.ok('wait --for=condition=Ready pod/server --timeout=60s')
      assert.equal(await kubectl.ok(['exec', 'server', '--', 'sh', '-c', 'echo $COLOR']), 'blue\n')
      assert.equal(
        await kubectl.ok([
          'get',
          'service',
          'server',
          '-o',
          'jsonpath={.spec.selector.run}{.spec.selector.app} {.spec.ports[*].port}',
        ]),
        'server 8080',
      )
    })

    it('runs a shell in a terminal, and removes it', async () => {
      const shell = kubectl.terminal('run shell --image=busybox --restart=Never --rm -it -- sh')
      await awaitOutput(shell, /try pressing enter/)
      shell.process.stdin!.write('echo $((20 + 3))x\r')
      await awaitOutput(shell, /23x/)
      // kubectl says another size first, so that programs draw anew, and the right one after it.
      let asked = 0
      await eventually(() => {
        const sizes = shell.said().match(/^\d+ \d+(?=\r?$)/gm) ?? []
        if (sizes.at(-1) === '33 77') return true
        if (sizes.length === asked) {
          asked++
          shell.process.stdin!.write('stty size\r')
        }
        return false
      })
      shell.process.stdin!.write('exit\r')
      assert.equal(await shell.ended, 0)
      assert.match(shell.said(), /pod "shell" deleted/)
      await kubectl.refused('get pod shell')
    })

    it('exposes pods, Deployments and Services', async () => {
      await Promise.all([
        kubectl.ok('expose deployment web --name=exposed --port=80 --target-port=8080'),
        kubectl.ok('expose service ci --name=again --port=82 --target-port=8080 --type=NodePort'),
        kubectl.ok(`expose ${(await kubectl.ok('get replicasets -l app=web -o name')).trim()} --name=by-set --port=80`),
      ])
      await kubectl.ok('rollout status deployment/web --timeout=60s')
      await eventually(
        async () =>
          (
            await kubectl.ok([
              'get',
              'endpointslices',
              '-l',
              'kubernetes.io/service-name=exposed',
              '-o',
              'jsonpath={.items[*].endpoints[*].addresses[0]}',
            ])
          ).split(' ').length === 2,
      )
      assert.equal(
        await kubectl.ok([
          'get',
          'services',
          'again',
          'by-set',
          '-o',
          'jsonpath={range .items[*]}{.spec.type}:{.spec.ports[0].port} {end}',
        ]),
        'NodePort:82 ClusterIP:80 ',
      )
      assert.match(
        await kubectl.refused('expose deployment web --name=exposed --port=80'),
        /services "exposed" already exists/,
      )
    })
  })
}
