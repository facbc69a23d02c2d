import assert from 'node:assert/strict'
import { GarbageReconciler } from '../../../controller/reconcile/garbage/reconciler.ts'
import { ReplicationControllerReconciler } from '../../../controller/reconcile/replicationcontroller/reconciler.ts'
import { runReconcilers } from '../../../controller/runner/runner.ts'
import { eventually } from '../../eventually.ts'
import { Kubectl } from './kubectl.ts'
import { TestApiServer } from './test-api-server.ts'
import { reconcileParts } from '../reconcile-parts.ts'

/** As such manifests were written before there were Deployments. */
const GUESTBOOK = `
apiVersion: v1
kind: Service
metadata: { name: guestbook, labels: { app: guestbook } }
spec: { ports: [{ port: 80 }], selector: { app: guestbook } }
---
apiVersion: v1
kind: ReplicationController
metadata: { name: guestbook }
spec:
  replicas: 2
  template:
    metadata: { labels: { app: guestbook } }
    spec: { containers: [{ name: php, image: "example/guestbook:v4", ports: [{ containerPort: 80 }] }] }
`

describe('kubectl with an old manifest', () => {
  let server: TestApiServer
  let kubectl: Kubectl
  const stop = new AbortController()
  let running: Promise<void>
  before(async () => {
    server = await TestApiServer.start()
    kubectl = await Kubectl.of(server)
    const parts = reconcileParts(server)
    running = runReconcilers(
      [new ReplicationControllerReconciler(parts), new GarbageReconciler(parts)],
      parts,
      stop.signal,
    )
  })
  after(async () => {
    stop.abort()
    await running
    await kubectl.stop()
    await server.stop()
  })

  const ok = async (command: string, input = ''): Promise<string> => {
    const { code, stdout, stderr } = await kubectl.run(command.split(' '), input)
    assert.equal(code, 0, stderr)
    return stdout
  }
  const pods = (count: number): Promise<true> =>
    eventually(() => server.informer.lister('Pod').list('default').length === count)

  it('applies it, and shows what it became', async () => {
    assert.equal(
      await ok('apply -f -', GUESTBOOK),
      'service/guestbook created\nreplicationcontroller/guestbook created\n',
    )
    await pods(2)
    assert.match(await ok('get rc'), /^NAME +DESIRED +CURRENT +READY +AGE\nguestbook +2 +2 +0 +/)
    assert.match(await ok('get all'), /replicationcontroller\/guestbook +2 +2 +0 +/)
    assert.match(
      await ok('describe rc guestbook'),
      /Selector: +app=guestbook\n[^]*Replicas: +2 current \/ 2 desired\nPods Status: +0 Running \/ 2 Waiting/,
    )
  })

  it('applies it again without a change', async () => {
    assert.equal(
      await ok('apply -f -', GUESTBOOK),
      'service/guestbook unchanged\nreplicationcontroller/guestbook unchanged\n',
    )
  })

  it('lowers a limit that it applied before', async () => {
    const limited = (cpu: string): string =>
      GUESTBOOK.replace('ports: [{ containerPort: 80 }]', `resources: { limits: { cpu: ${cpu} } }`)
    await ok('apply -f -', limited('200m'))
    assert.match(await ok('apply -f -', limited('100m')), /replicationcontroller\/guestbook configured/)
    assert.match(await ok('set resources rc guestbook --limits=cpu=50m'), /resource requirements updated/)
    await ok('apply -f -', GUESTBOOK)
  })

  it('scales it', async () => {
    assert.equal(await ok('scale rc guestbook --replicas=5'), 'replicationcontroller/guestbook scaled\n')
    await pods(5)
    assert.equal(
      await ok('scale rc/guestbook --current-replicas=5 --replicas=1'),
      'replicationcontroller/guestbook scaled\n',
    )
    await pods(1)
  })

  it('has no rollout of it, as with Kubernetes', async () => {
    const { code, stderr } = await kubectl.run(['rollout', 'status', 'rc/guestbook'])
    assert.deepEqual([code, stderr], [1, 'error: no status viewer has been implemented for ReplicationController\n'])
  })

  it('deletes it with its pods, or leaves them behind', async () => {
    assert.match(await ok('delete rc guestbook --cascade=orphan --wait=true'), /deleted/)
    await pods(1)
    await ok('apply -f -', GUESTBOOK)
    await pods(2)
    await ok('delete rc guestbook')
    await pods(0)
  })
})
