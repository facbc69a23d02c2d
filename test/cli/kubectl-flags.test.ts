/**
 * Flags that who knows kubectl types without a thought: each is taken with kubectl's meaning, or its error says what
 * does the same.
 */
import assert from 'node:assert/strict'
import { Console } from './console.ts'
import { deployment, node, pod } from './objects.ts'

const WEB =
  'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {tier: front}}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: web:1}]}\n'
const CONFIG = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: blue}\n'

describe("kubectl's flags", () => {
  let console: Console
  const owned = {
    metadata: {
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u', controller: true }],
    },
  }

  beforeEach(async () => {
    console = await new Console().open()
    await console.file('web.yaml', WEB)
    await console.file('all.yaml', `${WEB}---\n${CONFIG}`)
  })
  afterEach(() => console.close())

  describe('are taken', () => {
    beforeEach(async () => {
      await console.server.put(node('n1'))
      await console.server.put(pod('a', owned))
      await console.server.put(deployment('web'))
      await console.server.put(deployment('api'))
    })

    const lines = [
      'drain n1 --ignore-daemonsets --delete-emptydir-data --force --grace-period=30 --timeout=60s --pod-selector app=x --disable-eviction --skip-wait-for-delete-timeout=10 --dry-run=server',
      'logs a --max-log-requests=10 --prefix --all-containers --since-time=2026-01-01T00:00:00Z --limit-bytes=1000 --ignore-errors',
      'logs deploy/web --all-pods --ignore-errors',
      'apply -f web.yaml --force --grace-period=0 --cascade=foreground --timeout=5s --validate=true --dry-run=client',
      'apply -f web.yaml --validate --server-side --force-conflicts --field-manager=me --dry-run=server',
      'apply -f all.yaml -l tier=front --dry-run=client',
      'create -f web.yaml --validate=strict -l tier=front --dry-run=client',
      'diff -f all.yaml -l tier=front',
      'delete -f all.yaml -f web.yaml --ignore-not-found --wait=false --dry-run=client',
      'scale -f all.yaml --replicas=3 --dry-run=client',
      'scale deployment -l app=web --replicas=3 --dry-run=client',
      'scale deployment --all --replicas=3 --dry-run=client',
      'rollout restart deployment --dry-run=client',
      'rollout restart deployment -l app=web --dry-run=client',
      'rollout restart -f all.yaml --dry-run=client',
      'rollout status -f all.yaml --watch=false',
      'rollout history -f web.yaml',
      'set image -f all.yaml *=web:2 --dry-run=client',
      'set image deployment --all *=web:2 --dry-run=client',
      'set env deployment -l app=web COLOR=blue --dry-run=client',
      'label -f web.yaml color=blue --dry-run=client',
      'annotate -f web.yaml color=blue --overwrite --dry-run=client',
    ]
    for (const line of lines) {
      it(line, async () => {
        const { exit, stderr } = await console.run(line)
        assert.notEqual(exit, 2, stderr)
        assert.doesNotMatch(stderr, /unknown flag/)
      })
    }
  })

  describe('have a hint where something else does the same', () => {
    for (const [line, hint] of [
      ['apply -k overlays', /kubectl kustomize DIRECTORY/],
      ['get pods --template={{.}}', /-o jsonpath/],
      ['create -f web.yaml --save-config', /which field/],
      ['apply -f web.yaml --validate=false', /always validates strictly/],
      ['get pods --kubeconfig=x', /--context/],
      ['get --raw /healthz', /kubectl get --raw/],
      ['exec a --pod-running-timeout=1m -- true', /gantry wait --for=condition=Ready/],
    ] as const) {
      it(line, async () => {
        const { exit, stderr } = await console.run(line)
        assert.equal(exit, 2)
        assert.match(stderr, hint)
      })
    }
  })

  it('drain: --disable-eviction deletes', async () => {
    await console.server.put(node('n1'))
    await console.server.put(pod('a', owned))
    const { exit, stdout } = await console.run('drain n1 --disable-eviction')
    assert.deepEqual([exit, stdout], [0, 'node/n1 cordoned\npod/a -n default deleted\nnode/n1 drained\n'])
    assert.deepEqual(
      console.server.calls.filter((call) => /^(evict|delete)/.test(call)),
      ['delete Pod a'],
    )
  })

  it('logs: --max-log-requests refuses to follow more', async () => {
    for (const name of ['a', 'b', 'c']) await console.server.put(pod(name, { metadata: { labels: { app: 'web' } } }))
    const { exit, stderr } = await console.run('logs -f -l app=web --max-log-requests=2')
    assert.equal(exit, 1)
    assert.match(stderr, /these are the logs of 3 containers, more than the 2 of --max-log-requests/)
  })

  it('delete: an object that is named twice is deleted once, whatever the two say', async () => {
    await console.run('apply -f web.yaml')
    await console.file('other.yaml', WEB.replace('replicas: 2', 'replicas: 7'))
    assert.deepEqual(await console.run('delete -f web.yaml -f other.yaml --wait=false'), {
      exit: 0,
      stdout: 'deployment.apps "web" deleted\n',
      stderr: '',
    })
  })

  it('apply -l: only what has the labels', async () => {
    assert.equal((await console.run('apply -f all.yaml -l tier=front')).stdout, 'deployment.apps/web created\n')
    const { exit, stderr } = await console.run('apply -f all.yaml -l tier=back')
    assert.equal(exit, 1)
    assert.match(stderr, /no object of the manifests has the labels tier=back/)
  })

  describe('apply --force', () => {
    const selector = WEB.replaceAll('app: web', 'app: other')
    beforeEach(async () => {
      await console.run('apply -f web.yaml')
      await console.file('selector.yaml', selector)
    })

    it('makes again what cannot be changed as asked', async () => {
      const before = console.server.get('Deployment', 'web')!.metadata.uid
      const { exit, stderr } = await console.run('apply -f selector.yaml')
      assert.equal(exit, 1)
      assert.match(stderr, /spec\.selector/)
      assert.equal(console.server.get('Deployment', 'web')!.metadata.uid, before)
      assert.deepEqual(await console.run('apply -f selector.yaml --force --dry-run=server'), {
        exit: 0,
        stdout: 'deployment.apps/web configured (server dry run)\n',
        stderr: '',
      })
      assert.equal(console.server.get('Deployment', 'web')!.metadata.uid, before)
      assert.deepEqual(await console.run('apply -f selector.yaml --force'), {
        exit: 0,
        stdout: 'deployment.apps/web configured\n',
        stderr: '',
      })
      assert.notEqual(console.server.get('Deployment', 'web')!.metadata.uid, before)
    })

    it('deletes nothing for a manifest that is wrong in itself', async () => {
      const before = console.server.get('Deployment', 'web')!.metadata.uid
      await console.file('wrong.yaml', selector.replace('name: web, image', 'name: Web_1, image'))
      assert.equal((await console.run('apply -f wrong.yaml --force')).exit, 1)
      assert.equal(console.server.get('Deployment', 'web')!.metadata.uid, before)
    })
  })
})
