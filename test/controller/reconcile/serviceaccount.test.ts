import assert from 'node:assert/strict'
import { ServiceAccountReconciler } from '../../../controller/reconcile/serviceaccount/reconciler.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

const CONTEXT = { fieldManager: 'test' }

describe('what every namespace has', () => {
  let plane: SteppedControlPlane

  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    plane.run(new ServiceAccountReconciler(plane.parts))
  })
  afterEach(() => plane.stop())

  const account = (namespace: string): string | undefined =>
    plane.informer.lister('ServiceAccount').get(namespace, 'default')?.metadata.uid
  const authority = (namespace: string): Record<string, string> | undefined =>
    plane.informer.lister('ConfigMap').get(namespace, 'kube-root-ca.crt')?.data

  it('is there in namespaces of before and in new ones', async () => {
    await plane.users.create({ kind: 'Namespace', metadata: { name: 'shop' } }, CONTEXT)
    for (const namespace of ['default', 'shop']) {
      await plane.settleTo(() => account(namespace) !== undefined && authority(namespace) !== undefined)
      assert.deepEqual(authority(namespace), { 'ca.crt': 'the authority' })
    }
  })

  it('is made again when somebody deletes it, and set right when somebody changes it', async () => {
    await plane.settleTo(() => account('default') !== undefined && authority('default') !== undefined)
    const before = account('default')
    await plane.users.delete('ServiceAccount', 'default', 'default', {}, CONTEXT)
    await plane.settleTo(() => account('default') !== undefined && account('default') !== before)
    await plane.users.delete('ConfigMap', 'default', 'kube-root-ca.crt', {}, CONTEXT)
    await plane.settleTo(() => authority('default') !== undefined)
    await plane.users.mutate(
      'ConfigMap',
      'default',
      'kube-root-ca.crt',
      '',
      (stored) => void (stored.data = { 'ca.crt': 'another', more: 'x' }),
      CONTEXT,
    )
    await plane.settle()
    assert.deepEqual(authority('default'), { 'ca.crt': 'the authority' })
  })

  it("leaves alone what is the users' to say, and a namespace that is going", async () => {
    await plane.settleTo(() => account('default') !== undefined && authority('default') !== undefined)
    await plane.users.mutate(
      'ServiceAccount',
      'default',
      'default',
      '',
      (stored) => void (stored.automountServiceAccountToken = false),
      CONTEXT,
    )
    await plane.users.create(
      { kind: 'Namespace', metadata: { name: 'going', finalizers: ['example.com/hold'] } },
      CONTEXT,
    )
    await plane.settleTo(() => account('going') !== undefined && authority('going') !== undefined)
    await plane.users.delete('Namespace', '', 'going', {}, CONTEXT)
    await plane.users.delete('ServiceAccount', 'going', 'default', {}, CONTEXT)
    // What comes after it has been seen, too.
    await plane.users.create({ kind: 'Namespace', metadata: { name: 'later' } }, CONTEXT)
    await plane.settleTo(() => account('later') !== undefined)
    assert.equal(account('going'), undefined)
    assert.equal(plane.informer.lister('ServiceAccount').get('default', 'default')?.automountServiceAccountToken, false)
  })
})
