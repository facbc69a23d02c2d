import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { controllerReference } from '../../../proto/objects/owners.ts'
import { ReplicaSetReconciler } from '../../../controller/reconcile/replicaset/reconciler.ts'
import { ReplicationControllerReconciler } from '../../../controller/reconcile/replicationcontroller/reconciler.ts'
import { pod, replicaSet, replicationController } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

describe('ReplicationController reconciler', () => {
  let plane: SteppedControlPlane

  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
  })
  afterEach(() => plane.stop())

  it('keeps the number of pods, and is their controller by its own name', async () => {
    await plane.put(replicationController('rc', 3))
    plane.run(new ReplicationControllerReconciler(plane.parts))
    await plane.settle()
    assert.deepEqual(
      plane.list('Pod').map(({ metadata: { ownerReferences } }) => ownerReferences),
      Array.from({ length: 3 }, () => [controllerReference(plane.get('ReplicationController', 'rc')!)]),
    )
    assert.equal(plane.get('ReplicationController', 'rc')!.status.replicas, 3)
    await plane.change('ReplicationController', 'rc', (object) => void (object.spec.replicas = 1))
    await plane.settle()
    assert.equal(plane.list('Pod').length, 1)
    assert.equal(plane.events.filter((event) => event.startsWith('Normal SuccessfulDelete')).length, 2)
  })

  it('adopts pods with all labels of its selector, and lets go of those that lose one', async () => {
    await plane.put(pod('stray'))
    await plane.put(pod('other', { metadata: { labels: { app: 'db' } } }))
    await plane.put(replicationController('rc', 1))
    plane.run(new ReplicationControllerReconciler(plane.parts))
    await plane.settle()
    const { uid } = plane.get('ReplicationController', 'rc')!.metadata
    const ownersOf = (name: string): string[] | undefined =>
      plane.get('Pod', name)!.metadata.ownerReferences?.map((owner) => owner.uid)
    assert.deepEqual([ownersOf('stray'), ownersOf('other')], [[uid], undefined])
    assert.equal(plane.list('Pod').length, 2)
    await plane.change('Pod', 'stray', (object) => void (object.metadata.labels = {}))
    await plane.settle()
    assert.equal(ownersOf('stray'), undefined)
    assert.equal(plane.list('Pod').length, 3)
  })

  it('takes nothing from a ReplicaSet with the same selector, and loses nothing to it', async () => {
    await plane.put(replicaSet('rs', 2))
    await plane.put(replicationController('rc', 2))
    const { parts } = plane
    plane.run(new ReplicaSetReconciler(parts), new ReplicationControllerReconciler(parts))
    await plane.settle()
    const kinds = plane.list('Pod').map(({ metadata: { ownerReferences } }) => ownerReferences?.[0]?.kind)
    assert.deepEqual(kinds.sort(), ['ReplicaSet', 'ReplicaSet', 'ReplicationController', 'ReplicationController'])
  })

  it('says why it cannot create, for as long as that is so', async () => {
    await plane.put(replicationController('rc', 1))
    plane.refuse = ({ verb }) => (verb === 'create' ? new GantryError('Forbidden', 'quota is used up') : undefined)
    plane.run(new ReplicationControllerReconciler(plane.parts))
    await plane.settle()
    const [condition] = plane.get('ReplicationController', 'rc')!.status.conditions ?? []
    assert.deepEqual(
      [condition?.type, condition?.status, condition?.reason],
      ['ReplicaFailure', 'True', 'FailedCreate'],
    )
    plane.refuse = () => undefined
    await plane.pass(60_000)
    const { status } = plane.get('ReplicationController', 'rc')!
    assert.deepEqual([status.replicas, status.conditions], [1, undefined])
  })
})
