import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { controllerReference } from '../../../proto/objects/owners.ts'
import type { ReplicationController } from '../../../proto/gen/types.ts'
import { ReplicaSetReconciler } from '../../../controller/reconcile/replicaset/reconciler.ts'
import { ReplicationControllerReconciler } from '../../../controller/reconcile/replicationcontroller/reconciler.ts'
import { FakeCluster, metadata, pod, replicaSet, template } from './fake.ts'

function replicationController(name: string, replicas: number): ReplicationController {
  return {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: metadata(name),
    spec: { replicas, selector: { app: 'web' }, template: template('one') },
    status: {},
  }
}

describe('ReplicationController reconciler', () => {
  it('keeps the number of pods, and is their controller by its own name', async () => {
    const cluster = new FakeCluster()
    cluster.put(replicationController('rc', 3))
    await cluster.running([new ReplicationControllerReconciler(cluster.parts)], async () => {
      await cluster.settle()
      assert.deepEqual(
        cluster.list('Pod').map(({ metadata: { ownerReferences } }) => ownerReferences),
        Array.from({ length: 3 }, () => [controllerReference(cluster.get('ReplicationController', 'rc')!)]),
      )
      assert.equal(cluster.get('ReplicationController', 'rc')!.status.replicas, 3)
      cluster.change('ReplicationController', 'rc', (object) => void (object.spec.replicas = 1))
      await cluster.settle()
      assert.equal(cluster.list('Pod').length, 1)
      assert.equal(cluster.events.filter((event) => event.startsWith('Normal SuccessfulDelete')).length, 2)
    })
  })

  it('adopts pods with all labels of its selector, and lets go of those that lose one', async () => {
    const cluster = new FakeCluster()
    cluster.put(pod('stray'))
    cluster.put(pod('other', { metadata: { labels: { app: 'db' } } }))
    cluster.put(replicationController('rc', 1))
    await cluster.running([new ReplicationControllerReconciler(cluster.parts)], async () => {
      await cluster.settle()
      const { uid } = cluster.get('ReplicationController', 'rc')!.metadata
      const ownersOf = (name: string): string[] | undefined =>
        cluster.get('Pod', name)!.metadata.ownerReferences?.map((owner) => owner.uid)
      assert.deepEqual([ownersOf('stray'), ownersOf('other')], [[uid], undefined])
      assert.equal(cluster.list('Pod').length, 2)
      cluster.change('Pod', 'stray', (object) => void (object.metadata.labels = {}))
      await cluster.settle()
      assert.deepEqual(ownersOf('stray'), [])
      assert.equal(cluster.list('Pod').length, 3)
    })
  })

  it('takes nothing from a ReplicaSet with the same selector, and loses nothing to it', async () => {
    const cluster = new FakeCluster()
    cluster.put(replicaSet('rs', 2))
    cluster.put(replicationController('rc', 2))
    const { parts } = cluster
    await cluster.running([new ReplicaSetReconciler(parts), new ReplicationControllerReconciler(parts)], async () => {
      await cluster.settle()
      const kinds = cluster.list('Pod').map(({ metadata: { ownerReferences } }) => ownerReferences?.[0]?.kind)
      assert.deepEqual(kinds.sort(), ['ReplicaSet', 'ReplicaSet', 'ReplicationController', 'ReplicationController'])
    })
  })

  it('says why it cannot create, for as long as that is so', async () => {
    const cluster = new FakeCluster()
    cluster.put(replicationController('rc', 1))
    cluster.refuse = (verb) => (verb === 'create' ? new GantryError('Forbidden', 'quota is used up') : undefined)
    await cluster.running([new ReplicationControllerReconciler(cluster.parts)], async () => {
      await cluster.settle()
      const [condition] = cluster.get('ReplicationController', 'rc')!.status.conditions ?? []
      assert.deepEqual(
        [condition?.type, condition?.status, condition?.reason],
        ['ReplicaFailure', 'True', 'FailedCreate'],
      )
      cluster.refuse = () => undefined
      await cluster.clock.advance(60_000)
      await cluster.settle()
      const { status } = cluster.get('ReplicationController', 'rc')!
      assert.deepEqual([status.replicas, status.conditions], [1, undefined])
    })
  })
})
