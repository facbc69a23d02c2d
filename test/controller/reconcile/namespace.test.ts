import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { NamespaceReconciler } from '../../../controller/reconcile/namespace/reconciler.ts'
import type { AnyResource, Namespace } from '../../../proto/gen/types.ts'
import { deployment, metadata, pod } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

const USER = { fieldManager: 'user' }
const namespace = (name: string): Namespace => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: metadata(name, { namespace: '' }),
  spec: {},
  status: {},
})
const inShop = <T extends AnyResource>(object: T): T => ({
  ...object,
  metadata: { ...object.metadata, namespace: 'shop' },
})

let plane: SteppedControlPlane

const conditions = (): string[] =>
  (plane.get('Namespace', 'shop')?.status.conditions ?? []).map(
    ({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`,
  )
const message = (type: string): string | undefined =>
  findCondition(plane.get('Namespace', 'shop')?.status.conditions, type)?.message

describe('namespace reconciler', () => {
  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    for (const name of ['shop', 'other']) await plane.put(namespace(name))
    plane.run(new NamespaceReconciler(plane.parts))
  })
  afterEach(() => plane.stop())

  const deleteShop = (): Promise<unknown> => plane.users.delete('Namespace', '', 'shop', {}, USER)

  it('empties a namespace that is deleted, says what it waits for, and lets it go', async () => {
    await plane.put(inShop(deployment('web', 1)))
    await plane.put(inShop(pod('bound', { spec: { nodeName: 'n1' } })))
    await plane.put<'ConfigMap'>({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: metadata('held', { namespace: 'shop', finalizers: ['example.org/keep'] }),
    })
    await plane.put(pod('elsewhere', { metadata: { namespace: 'other' } }))
    await plane.settle()
    assert.deepEqual(plane.requests, [])
    await deleteShop()
    await plane.settle()
    assert.equal(plane.list('Deployment').length, 1, 'pods go first')
    assert.equal(plane.get('ConfigMap', 'held', 'shop')!.metadata.deletionTimestamp, undefined)
    assert.equal(plane.get('Namespace', 'shop')!.status.phase, 'Terminating')
    assert.deepEqual(conditions(), [
      'NamespaceDeletionDiscoveryFailure False ResourcesDiscovered: All resources successfully discovered',
      'NamespaceDeletionGroupVersionParsingFailure False ParsedGroupVersions: All legacy kube types successfully parsed',
      'NamespaceDeletionContentFailure False ContentDeleted: All content successfully deleted, may be waiting on finalization',
      'NamespaceContentRemaining True SomeResourcesRemain: Some resources are remaining: configmaps. has 1 resource instances, deployments.apps has 1 resource instances, pods. has 1 resource instances',
      'NamespaceFinalizersRemaining True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.org/keep in 1 resource instances',
    ])
    await plane.release('bound', 'shop')
    await plane.settle()
    assert.deepEqual(plane.list('Deployment'), [], 'the rest goes when no pod is left')
    assert.equal(
      message('NamespaceContentRemaining'),
      'Some resources are remaining: configmaps. has 1 resource instances',
    )
    await plane.change('ConfigMap', 'held', (held) => void (held.metadata.finalizers = []), 'shop')
    await plane.settle()
    assert.equal(plane.get('Namespace', 'shop'), undefined)
    assert.deepEqual([plane.list('Namespace').length, plane.list('Pod').length], [2, 1])
  })

  it('does not let go while the cache has not shown all that is in it', async () => {
    plane.holdCache()
    await deleteShop()
    // The controller that makes this pod has not heard yet that the namespace is going.
    await plane.api.create(inShop(pod('late', { metadata: { finalizers: ['example.org/keep'] } })), USER)
    await plane.releaseCache()
    assert.notEqual(plane.get('Namespace', 'shop'), undefined)
    assert.notEqual(plane.get('Pod', 'late', 'shop')!.metadata.deletionTimestamp, undefined)
  })

  it('leaves pods what they use until they have ended', async () => {
    await plane.put(inShop(pod('bound', { spec: { nodeName: 'n1' } })))
    await plane.put<'Secret'>({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: metadata('used', { namespace: 'shop' }),
      type: 'Opaque',
    })
    await deleteShop()
    await plane.settle()
    assert.notEqual(plane.get('Pod', 'bound', 'shop')!.metadata.deletionTimestamp, undefined)
    assert.notEqual(plane.get('Secret', 'used', 'shop'), undefined)
    await plane.release('bound', 'shop')
    await plane.settle()
    assert.deepEqual([plane.get('Secret', 'used', 'shop'), plane.get('Namespace', 'shop')], [undefined, undefined])
  })

  it('says why something cannot be deleted, and tries again', async () => {
    await plane.put(inShop(pod('p')))
    plane.refuse = ({ verb, kind }) =>
      verb === 'delete' && kind === 'Pod' ? new GantryError('Forbidden', 'protected') : undefined
    await deleteShop()
    await plane.settle()
    assert.equal(
      message('NamespaceDeletionContentFailure'),
      'Failed to delete all resource types, 1 remaining: protected',
    )
    plane.refuse = () => undefined
    await plane.pass(60_000)
    assert.equal(plane.get('Namespace', 'shop'), undefined)
  })

  it('goes at once when it is empty', async () => {
    await deleteShop()
    await plane.settle()
    assert.deepEqual(
      plane.list('Namespace').map(({ metadata: { name } }) => name),
      ['default', 'other'],
    )
  })
})

describe('namespace reconciler with events', () => {
  it('ends those of a namespace before it goes and once more when it is gone, and does not wait for who keeps them', async () => {
    plane = await SteppedControlPlane.start()
    const ended: string[] = []
    let failures = 1
    const endEvents = (name: string): Promise<void> => {
      ended.push(`${name} ${plane.get('Namespace', name) === undefined ? 'gone' : 'there'}`)
      return failures-- > 0 ? Promise.reject(new GantryError('Unavailable', 'no news')) : Promise.resolve()
    }
    plane.run(new NamespaceReconciler({ ...plane.parts, endEvents }))
    await plane.put(namespace('shop'))
    await plane.remove('Namespace', 'shop')
    await plane.settle()
    assert.equal(plane.get('Namespace', 'shop'), undefined)
    assert.deepEqual(ended, ['shop there', 'shop gone'])
    await plane.stop()
  })
})
