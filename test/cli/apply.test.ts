import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import { mkdir, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { ConfigMap, Deployment, Secret } from '../../proto/gen/types.ts'
import { selfSigned } from '../self-signed.ts'
import { Console } from './console.ts'
import { pod } from './objects.ts'

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: main
          image: busybox
`
const CONFIG = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: blue}\n'

describe('gantry apply', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
    await console.file('web.yaml', `${DEPLOYMENT}---\n${CONFIG}`)
  })

  afterEach(() => console.close())

  it('creates, then leaves alone, then configures', async () => {
    assert.deepEqual(await console.run('apply -f web.yaml'), {
      exit: 0,
      stdout: 'configmap/settings created\ndeployment.apps/web created\n',
      stderr: '',
    })
    assert.equal(
      (await console.run('apply -f web.yaml')).stdout,
      'configmap/settings unchanged\ndeployment.apps/web unchanged\n',
    )
    await console.file('web.yaml', DEPLOYMENT.replace('replicas: 2', 'replicas: 3'))
    assert.equal((await console.run('apply -f web.yaml')).stdout, 'deployment.apps/web configured\n')
    assert.equal(console.server.get<Deployment>('Deployment', 'web')?.spec.replicas, 3)
  })

  it('tries everything before it writes anything', async () => {
    await console.run('apply -f web.yaml')
    assert.deepEqual(console.server.calls, [
      'apply ConfigMap settings dry',
      'apply Deployment web dry',
      'apply ConfigMap settings',
      'apply Deployment web',
    ])
  })

  it('applies nothing when one of several is refused by the server, and says where', async () => {
    await console.file('bad.yaml', `${CONFIG}---\n${DEPLOYMENT.replace('labels: {app: web}', 'labels: {app: other}')}`)
    const { exit, stdout, stderr } = await console.run('apply -f bad.yaml')
    assert.equal(exit, 1)
    assert.equal(stdout, '')
    assert.match(stderr, /^bad\.yaml:1[0-9]:\d+: spec\.template\.metadata\.labels: /)
    assert.equal(console.server.get('ConfigMap', 'settings'), undefined)
  })

  it('tells all mistakes of all files, with their places, and asks no server', async () => {
    await console.file(
      'a.yaml',
      `${CONFIG}---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n    - nmae: main\n`,
    )
    await console.file('b.yaml', 'apiVersion: v1\nkind: Podd\nmetadata: {name: p}\n')
    const { exit, stderr } = await console.run('apply -f a.yaml,b.yaml')
    assert.equal(exit, 1)
    assert.match(stderr, /^a\.yaml:11:7: spec\.containers\[0\]\.nmae: unknown field.*name/m)
    assert.match(stderr, /^b\.yaml:2:7: kind: "Podd" is not a known kind \(did you mean Pod\?\)/m)
    assert.deepEqual(console.server.calls, [])
  })

  it('reads standard input, directories and addresses', async () => {
    assert.equal((await console.run('apply -f -', { stdin: CONFIG })).stdout, 'configmap/settings created\n')
    await mkdir(path.join(console.directory, 'all/more'), { recursive: true })
    await writeFile(path.join(console.directory, 'all/one.yaml'), CONFIG.replace('settings', 'one'))
    await writeFile(
      path.join(console.directory, 'all/more/two.json'),
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'two' } }),
    )
    await writeFile(path.join(console.directory, 'all/README.md'), 'not a manifest')
    assert.equal((await console.run('apply -f all')).stdout, 'configmap/one created\n')
    assert.equal((await console.run('apply -f all -R')).stdout, 'configmap/two created\nconfigmap/one unchanged\n')
    const site: Server = createServer((request, response) => {
      response.statusCode = request.url === '/three.yaml' ? 200 : 404
      response.end(CONFIG.replace('settings', 'three'))
    })
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
    const address = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
    try {
      assert.equal((await console.run(`apply -f ${address}/three.yaml`)).stdout, 'configmap/three created\n')
      const missing = await console.run(`apply -f ${address}/four.yaml`)
      assert.equal(missing.stderr, `error: ${address}/four.yaml answered 404 Not Found\n`)
      assert.equal(missing.exit, 1)
    } finally {
      site.closeAllConnections()
      await new Promise((resolve) => site.close(resolve))
    }
  })

  it('makes a namespace before what is in it, and checks that here before', async () => {
    const inShop = CONFIG.replace('name: settings', 'name: settings, namespace: shop')
    await console.file('shop.yaml', `${inShop}---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n`)
    assert.equal(
      (await console.run('apply -f shop.yaml')).stdout,
      'namespace/shop created\nconfigmap/settings created\n',
    )
    assert.equal(console.server.get<ConfigMap>('ConfigMap', 'settings', 'shop')?.data?.color, 'blue')
    await console.file(
      'lab.yaml',
      `apiVersion: v1\nkind: Namespace\nmetadata: {name: lab}\n---\n${inShop.replace('shop', 'lab').replace('color', '"a b"')}`,
    )
    const { exit, stderr } = await console.run('apply -f lab.yaml')
    assert.equal(exit, 1)
    assert.match(stderr, /^lab\.yaml:\d+:\d+: data\[a b\]/)
    assert.equal(console.server.get('Namespace', 'lab'), undefined)
  })

  it('takes two equal manifests of one object as one', async () => {
    await console.file('twice.yaml', `${CONFIG}---\n${CONFIG}`)
    assert.deepEqual(await console.run('apply -f twice.yaml'), {
      exit: 0,
      stdout: 'configmap/settings created\n',
      stderr: '',
    })
  })

  it('refuses two manifests of one object that differ, and a namespace that contradicts the flag', async () => {
    await console.file('twice.yaml', `${CONFIG}---\n${CONFIG.replace('blue', 'red')}`)
    assert.equal(
      (await console.run('apply -f twice.yaml')).stderr,
      'twice.yaml:8:18: metadata.name: configmap/settings is already at twice.yaml:3:18, and the two differ (keep one)\n',
    )
    await console.file('other.yaml', CONFIG.replace('name: settings', 'name: settings, namespace: shop'))
    assert.match(
      (await console.run('apply -f other.yaml -n default')).stderr,
      /^other\.yaml:3:\d+: metadata\.namespace: it is "shop", but --namespace is "default"/,
    )
  })

  it('names the owner of a field in conflict, and takes it over by force', async () => {
    await console.run('apply -f web.yaml')
    await console.file('three.yaml', DEPLOYMENT.replace('replicas: 2', 'replicas: 7'))
    const { exit, stderr } = await console.run('apply -f three.yaml --field-manager robot')
    assert.equal(exit, 1)
    assert.match(stderr, /^three\.yaml:6:\d+: spec\.replicas: .*gantry/m)
    assert.equal(
      (await console.run('apply -f three.yaml --field-manager robot --force-conflicts')).stdout,
      'deployment.apps/web configured\n',
    )
  })

  it('writes nothing on a dry run', async () => {
    assert.equal(
      (await console.run('apply -f web.yaml --dry-run=server')).stdout,
      'configmap/settings created (server dry run)\ndeployment.apps/web created (server dry run)\n',
    )
    assert.equal(
      (await console.run('apply -f web.yaml --dry-run=client')).stdout,
      'configmap/settings created (dry run)\ndeployment.apps/web created (dry run)\n',
    )
    assert.equal(console.server.get('Deployment', 'web'), undefined)
    assert.deepEqual(await console.run('apply -f web.yaml --dry-run'), {
      exit: 2,
      stdout: '',
      stderr: 'error: --dry-run needs a value; it is client, server or none\n',
    })
  })

  it('prunes what a set no longer names, after listing it, and nothing else', async () => {
    await console.file('more.yaml', CONFIG.replace('settings', 'old'))
    await console.run('apply -f web.yaml -f more.yaml --set shop')
    await console.server.put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'foreign' } })
    const dry = await console.run('apply -f web.yaml --prune --set shop --dry-run=server')
    assert.match(dry.stdout, /configmap\/old pruned \(server dry run\)\n$/)
    assert.notEqual(console.server.get('ConfigMap', 'old'), undefined)
    const { stdout, stderr } = await console.run('apply -f web.yaml --prune --set shop')
    assert.equal(stderr, 'no longer in set shop, to be deleted:\n  configmap/old in namespace default\n')
    assert.equal(stdout, 'configmap/settings unchanged\ndeployment.apps/web unchanged\nconfigmap/old pruned\n')
    assert.equal(console.server.get('ConfigMap', 'old'), undefined)
    assert.notEqual(console.server.get('ConfigMap', 'foreign'), undefined)
    assert.equal((await console.run('apply -f web.yaml --prune')).exit, 2)
  })

  it('waits until what was applied is ready', async () => {
    await console.file('settings.yaml', CONFIG.replace('settings', 'more'))
    const running = console.start(['apply', '-f', 'web.yaml', '--wait'])
    await running.until((text) => text.includes('deployment.apps/web created'))
    const live = console.server.get<Deployment>('Deployment', 'web')!
    await console.server.put(
      JSON.parse(
        JSON.stringify({
          ...live,
          status: { observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 2 },
        }),
      ),
    )
    const { exit, stderr } = await running.result
    assert.equal(exit, 0)
    assert.match(stderr, /^(Waiting .*\n)*deployment "web" successfully rolled out\n$/)
    assert.deepEqual(await console.run('apply -f web.yaml -f settings.yaml --wait -o name'), {
      exit: 0,
      stdout: 'configmap/settings\nconfigmap/more\ndeployment.apps/web\n',
      stderr: 'deployment "web" successfully rolled out\n',
    })
  })

  it('tells what failed when time is up for the others', async () => {
    await console.server.put(pod('p', { status: { phase: 'Failed', message: 'out of memory' } }))
    await console.file(
      'both.yaml',
      `${DEPLOYMENT}---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: web}}\nspec: {containers: [{name: main, image: busybox}]}\n`,
    )
    const { exit, stderr } = await console.run('apply -f both.yaml --wait --timeout 1s')
    assert.equal(exit, 4)
    assert.match(stderr, /error: not ready after 1s: .*pod\/p failed: out of memory/)
  })

  it('says what it still waits for when time is up', async () => {
    const { exit, stderr } = await console.run('apply -f web.yaml --wait --timeout 1s')
    assert.equal(exit, 4)
    assert.match(stderr, /error: not ready after 1s: Waiting for deployment spec update to be observed/)
  })

  it('says at once that a pod failed', async () => {
    await console.server.put(pod('p', { status: { phase: 'Failed', message: 'no such image' } }))
    await console.file(
      'p.yaml',
      'apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: web}}\nspec: {containers: [{name: main, image: busybox}]}\n',
    )
    const { exit, stderr } = await console.run('apply -f p.yaml --wait')
    assert.equal(exit, 1)
    assert.match(stderr, /error: pod\/p failed: no such image; `gantry describe pod p -n default` tells more/)
  })

  describe('gantry diff', () => {
    it('shows nothing and exits 0 when nothing would change, else the difference and 1', async () => {
      await console.run('apply -f web.yaml')
      assert.deepEqual(await console.run('diff -f web.yaml'), { exit: 0, stdout: '', stderr: '' })
      await console.file('web.yaml', `${DEPLOYMENT.replace('replicas: 2', 'replicas: 3')}`)
      const { exit, stdout } = await console.run('diff -f web.yaml')
      assert.equal(exit, 1)
      assert.match(
        stdout,
        /^--- live\/default\/deployment\.apps\/web\n\+\+\+ merged\/default\/deployment\.apps\/web\n@@ /,
      )
      assert.match(stdout, /\n- {2}replicas: 2\n\+ {2}replicas: 3\n/)
      assert.equal(console.server.get<Deployment>('Deployment', 'web')?.spec.replicas, 2)
    })

    it('never shows what is in a secret', async () => {
      const secret = (value: string): string =>
        `apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: ${value}, user: me}\n`
      await console.file('secret.yaml', secret('hunter2'))
      await console.run('apply -f secret.yaml')
      assert.equal(
        Buffer.from(console.server.get<Secret>('Secret', 'db')!.data!.password!, 'base64').toString(),
        'hunter2',
      )
      await console.file('secret.yaml', secret('hunter3'))
      const { stdout } = await console.run('diff -f secret.yaml')
      assert.match(stdout, /\n- {2}password: '?"?\*\*\* \(before\)'?"?\n\+ {2}password: '?"?\*\*\* \(after\)'?"?\n/)
      assert.doesNotMatch(stdout, /hunter|aHVudGVy/)
    })

    it('never shows what kubectl has kept of a secret either', async () => {
      const kept = (value: string): string =>
        `    kubectl.kubernetes.io/last-applied-configuration: '{"stringData":{"password":"${value}"}}'\n`
      const secret = (value: string): string =>
        `apiVersion: v1\nkind: Secret\nmetadata:\n  name: kept\n  annotations:\n${kept(value)}type: Opaque\n`
      await console.file('kept.yaml', secret('hunter2'))
      await console.run('apply -f kept.yaml')
      await console.file('kept.yaml', secret('hunter3'))
      const { stdout } = await console.run('diff -f kept.yaml')
      assert.match(
        stdout,
        /last-applied-configuration: '?"?\*\*\* \(before\)[^]*last-applied-configuration: '?"?\*\*\* \(after\)/,
      )
      assert.doesNotMatch(stdout, /hunter/)
    })
  })

  describe('gantry create', () => {
    it('creates what does not exist and refuses what does, all or nothing', async () => {
      assert.equal(
        (await console.run('create -f web.yaml')).stdout,
        'configmap/settings created\ndeployment.apps/web created\n',
      )
      await console.file('again.yaml', `${CONFIG.replace('settings', 'fresh')}---\n${CONFIG}`)
      const { exit, stderr } = await console.run('create -f again.yaml')
      assert.equal(exit, 1)
      assert.match(
        stderr,
        /^again\.yaml:8:18: metadata\.name: settings is taken \(choose another name, or apply to change what is there\)\n$/,
      )
      assert.equal(console.server.get('ConfigMap', 'fresh'), undefined)
    })

    it('creates namespaces, config maps and secrets from flags', async () => {
      assert.equal((await console.run('create namespace shop')).stdout, 'namespace/shop created\n')
      await console.file('app.conf', 'x=1\n')
      assert.equal(
        (
          await console.run(
            'create configmap c --from-literal=color=blue=ish --from-file=app.conf --from-file=other=app.conf',
          )
        ).stdout,
        'configmap/c created\n',
      )
      assert.deepEqual(console.server.get<ConfigMap>('ConfigMap', 'c')?.data, {
        color: 'blue=ish',
        'app.conf': 'x=1\n',
        other: 'x=1\n',
      })
      assert.equal(
        (await console.run('create secret generic s --from-literal=password=hunter2 -n shop')).stdout,
        'secret/s created\n',
      )
      assert.equal((await console.run('create sa deployer')).stdout, 'serviceaccount/deployer created\n')
      assert.match((await console.run('create')).stderr, /^error: what\? Say -f FILE, or deployment, /)
      assert.deepEqual(console.server.get<Secret>('Secret', 's', 'shop')?.data, {
        password: Buffer.from('hunter2').toString('base64'),
      })
      assert.match(
        (await console.run('create configmap c2 --from-literal=a=b --dry-run=client -o yaml')).stdout,
        /^apiVersion: v1\nkind: ConfigMap\nmetadata:\n {2}name: c2\n {2}namespace: default\ndata:\n {2}a: b\n$/,
      )
      assert.equal(console.server.get('ConfigMap', 'c2'), undefined)
      assert.equal(
        (await console.run('create namespace shop')).stderr,
        'error: Namespace shop already exists; choose another name, or apply to change what is there\n',
      )
    })

    it('creates a certificate with its key, and looks at both before', async () => {
      const [own, other] = await Promise.all([selfSigned('shop.example.com'), selfSigned('other.example.com')])
      await console.file('tls.crt', own.cert)
      await console.file('tls.key', own.key)
      await console.file('other.key', other.key)
      assert.equal((await console.run('create secret tls t --cert=tls.crt --key=tls.key')).stdout, 'secret/t created\n')
      const { type, data } = console.server.get<Secret>('Secret', 't')!
      assert.deepEqual(
        [
          type,
          Buffer.from(data!['tls.crt']!, 'base64').toString(),
          Buffer.from(data!['tls.key']!, 'base64').toString(),
        ],
        ['kubernetes.io/tls', own.cert, own.key],
      )
      assert.match(
        (await console.run('create secret tls u --cert=tls.crt --key=other.key')).stderr,
        /other\.key: is not the key of the certificate in .*tls\.crt \(CN=shop\.example\.com\)/,
      )
      assert.match(
        (await console.run('create secret tls u --cert=tls.key --key=tls.key')).stderr,
        /tls\.key: holds no certificate in PEM form/,
      )
      assert.match(
        (await console.run('create secret tls u --cert=none.crt --key=tls.key')).stderr,
        /cannot read none\.crt: ENOENT/,
      )
      assert.equal((await console.run('create secret tls u --cert=tls.crt')).stderr, 'error: --key is required\n')
      assert.equal(console.server.get('Secret', 'u'), undefined)
    })

    it('creates a deployment from flags', async () => {
      assert.equal(
        (
          await console.run(
            'create deployment web --image=registry.example.com:5000/shop/Web_App:1.0 --replicas 2 --port 80 -- serve -v',
          )
        ).stdout,
        'deployment.apps/web created\n',
      )
      const { metadata, spec } = console.server.get<Deployment>('Deployment', 'web')!
      assert.deepEqual(
        [metadata.labels, spec.selector, spec.replicas, spec.template.metadata?.labels],
        [{ app: 'web' }, { matchLabels: { app: 'web' } }, 2, { app: 'web' }],
      )
      const [container] = spec.template.spec.containers
      assert.deepEqual(
        [container?.name, container?.command, container?.ports?.[0]?.containerPort],
        ['web-app', ['serve', '-v'], 80],
      )
      assert.equal((await console.run('create deployment db')).stderr, 'error: which image? Say --image=IMAGE\n')
      assert.equal((await console.run('create deployment db --image=a --image=b -- c')).exit, 2)
    })
  })
})
