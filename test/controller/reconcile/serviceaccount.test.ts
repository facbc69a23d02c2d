import assert from 'node:assert/strict'
import { runReconcilers } from '../../../controller/runner/runner.ts'
import { ServiceAccountReconciler } from '../../../controller/reconcile/serviceaccount/reconciler.ts'
import { eventually } from '../../eventually.ts'
import { ControlPlane } from '../control-plane.ts'
import { reconcileParts } from '../reconcile-parts.ts'

const CONTEXT = { fieldManager: 'test' }

describe('what every namespace has', () => {
  let plane: ControlPlane
  let stop: AbortController
  let running: Promise<void>

  beforeEach(async () => {
    plane = await ControlPlane.start()
    stop = new AbortController()
    const parts = reconcileParts(plane)
    running = runReconcilers([new ServiceAccountReconciler(parts)], parts, stop.signal)
  })

  afterEach(async () => {
    stop.abort()
    await running
    await plane.stop()
  })

  const account = (namespace: string): string | undefined =>
    plane.informer.lister('ServiceAccount').get(namespace, 'default')?.metadata.uid
  const authority = (namespace: string): Record<string, string> | undefined =>
    plane.informer.lister('ConfigMap').get(namespace, 'kube-root-ca.crt')?.data

  it('is there in namespaces of before and in new ones', async () => {
    await plane.api.create({ kind: 'Namespace', metadata: { name: 'shop' } }, CONTEXT)
    for (const namespace of ['default', 'shop']) {
      await eventually(() => account(namespace) !== undefined && authority(namespace) !== undefined)
      assert.deepEqual(authority(namespace), { 'ca.crt': 'the authority' })
    }
  })

  it('is made again when somebody deletes it, and set right when somebody changes it', async () => {
    await eventually(() => account('default') !== undefined && authority('default') !== undefined)
    const before = account('default')
    await plane.api.delete('ServiceAccount', 'default', 'default', {}, CONTEXT)
    await eventually(() => account('default') !== undefined && account('default') !== before)
    await plane.api.delete('ConfigMap', 'default', 'kube-root-ca.crt', {}, CONTEXT)
    await eventually(() => authority('default') !== undefined)
    await plane.api.mutate(
      'ConfigMap',
      'default',
      'kube-root-ca.crt',
      '',
      (stored) => void (stored.data = { 'ca.crt': 'another', more: 'x' }),
      CONTEXT,
    )
    await eventually(() => assert.deepEqual(authority('default'), { 'ca.crt': 'the authority' }) === undefined)
  })

  it("leaves alone what is the users' to say, and a namespace that is going", async () => {
    await eventually(() => account('default') !== undefined && authority('default') !== undefined)
    await plane.api.mutate(
      'ServiceAccount',
      'default',
      'default',
      '',
      (stored) => void (stored.automountServiceAccountToken = false),
      CONTEXT,
    )
    await plane.api.create(
      { kind: 'Namespace', metadata: { name: 'going', finalizers: ['example.com/hold'] } },
      CONTEXT,
    )
    await eventually(() => account('going') !== undefined && authority('going') !== undefined)
    await plane.api.delete('Namespace', '', 'going', {}, CONTEXT)
    await plane.api.delete('ServiceAccount', 'going', 'default', {}, CONTEXT)
    // What comes after it has been seen, too.
    await plane.api.create({ kind: 'Namespace', metadata: { name: 'later' } }, CONTEXT)
    await eventually(() => account('later') !== undefined)
    assert.equal(account('going'), undefined)
    assert.equal(plane.informer.lister('ServiceAccount').get('default', 'default')?.automountServiceAccountToken, false)
  })
})
