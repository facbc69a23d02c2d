import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { controllerReference } from '../../../proto/objects/owners.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { DeploymentReconciler } from '../../../controller/reconcile/deployment/reconciler.ts'
import { replicaSetDraft, REVISION, templateHash } from '../../../controller/reconcile/deployment/template.ts'
import { ReplicaSetReconciler } from '../../../controller/reconcile/replicaset/reconciler.ts'
import type { ReplicaSet } from '../../../proto/gen/types.ts'
import { deployment, FakeCluster, metadata, template } from './fake.ts'

/** Runs both reconcilers. */
async function running(work: (cluster: FakeCluster) => Promise<void>): Promise<void> {
  const cluster = new FakeCluster()
  await cluster.running([new DeploymentReconciler(cluster.parts), new ReplicaSetReconciler(cluster.parts)], () =>
    work(cluster),
  )
}

/** Makes pods ready until none is left that is not. */
async function becomeReady(cluster: FakeCluster): Promise<void> {
  for (;;) {
    await cluster.settle()
    const waiting = cluster.list('Pod').filter(({ status }) => status.conditions === undefined)
    if (waiting.length === 0) return
    for (const {
      metadata: { name },
    } of waiting)
      cluster.makeReady(name)
    for (const {
      metadata: { name, deletionTimestamp },
    } of cluster.list('Pod'))
      if (deletionTimestamp !== undefined) cluster.remove('Pod', name)
  }
}

const images = (cluster: FakeCluster): string[] =>
  cluster
    .list('Pod')
    .filter(({ metadata: { deletionTimestamp } }) => deletionTimestamp === undefined)
    .map(({ spec }) => spec.containers[0]!.image!)
    .sort()
const progressing = (cluster: FakeCluster): string | undefined =>
  findCondition(cluster.get('Deployment', 'web')!.status.conditions, 'Progressing')?.reason

describe('Deployment reconciler', () => {
  it('rolls out, rolls on, rolls back', () =>
    running(async (cluster) => {
      cluster.put(deployment('web', 4))
      await becomeReady(cluster)
      assert.deepEqual(images(cluster), ['one', 'one', 'one', 'one'])
      assert.equal(progressing(cluster), 'NewReplicaSetAvailable')
      assert.equal(cluster.get('Deployment', 'web')!.metadata.annotations?.[REVISION], '1')
      const first = `web-${templateHash(template('one'), 0)}`
      assert.ok(cluster.events.includes(`Normal ScalingReplicaSet Scaled up replica set ${first} from 0 to 4`))

      cluster.change('Deployment', 'web', ({ spec, metadata: meta }) => {
        spec.template = template('two')
        meta.generation = 2
      })
      await becomeReady(cluster)
      assert.deepEqual(images(cluster), ['two', 'two', 'two', 'two'])
      const status = cluster.get('Deployment', 'web')!.status
      assert.deepEqual(
        [
          status.observedGeneration,
          status.replicas,
          status.updatedReplicas,
          status.availableReplicas,
          status.unavailableReplicas,
        ],
        [2, 4, 4, 4, 0],
      )
      assert.equal(cluster.get('ReplicaSet', first)!.spec.replicas, 0)
      assert.ok(
        cluster.events.some((event) =>
          event.startsWith(`Normal ScalingReplicaSet Scaled down replica set ${first} from `),
        ),
      )

      cluster.change('Deployment', 'web', ({ spec }) => void (spec.template = template('one')))
      await becomeReady(cluster)
      assert.deepEqual(images(cluster), ['one', 'one', 'one', 'one'])
      assert.equal(cluster.list('ReplicaSet').length, 2)
      assert.equal(cluster.get('ReplicaSet', first)!.metadata.annotations?.[REVISION], '3')
      assert.equal(cluster.get('Deployment', 'web')!.metadata.annotations?.[REVISION], '3')
    }))

  it('tells of no scaling when it makes a ReplicaSet of no pods', () =>
    running(async (cluster) => {
      cluster.put(deployment('web', 0))
      await cluster.settle()
      assert.equal(cluster.list('ReplicaSet').length, 1)
      assert.deepEqual(
        cluster.events.filter((event) => event.includes('ScalingReplicaSet')),
        [],
      )
    }))

  it('with Recreate starts new pods when the last old one is gone', () =>
    running(async (cluster) => {
      const available = (): string | undefined =>
        findCondition(cluster.get('Deployment', 'web')!.status.conditions, 'Available')?.status
      cluster.put(deployment('web', 2, { strategy: { type: 'Recreate' } }))
      await cluster.settle()
      assert.equal(available(), 'False')
      await becomeReady(cluster)
      assert.equal(available(), 'True')
      cluster.change('Deployment', 'web', ({ spec }) => void (spec.template = template('two')))
      await cluster.settle()
      assert.deepEqual(images(cluster), [])
      assert.equal(cluster.list('Pod').length, 2)
      const [one, other] = cluster.list('Pod')
      cluster.remove('Pod', one!.metadata.name)
      await cluster.settle()
      assert.deepEqual(images(cluster), [])
      cluster.remove('Pod', other!.metadata.name)
      await cluster.settle()
      assert.deepEqual(images(cluster), ['two', 'two'])
    }))

  it('scales while paused, and rolls out when resumed', () =>
    running(async (cluster) => {
      cluster.put(deployment('web', 2))
      await becomeReady(cluster)
      cluster.change('Deployment', 'web', ({ spec }) => {
        spec.paused = true
        spec.template = template('two')
        spec.replicas = 3
      })
      await becomeReady(cluster)
      assert.deepEqual(images(cluster), ['one', 'one', 'one'])
      assert.equal(progressing(cluster), 'DeploymentPaused')
      cluster.change('Deployment', 'web', ({ spec }) => void (spec.paused = false))
      await becomeReady(cluster)
      assert.deepEqual(images(cluster), ['two', 'two', 'two'])
    }))

  it('reports a rollout that does not move', () =>
    running(async (cluster) => {
      cluster.put(deployment('web', 1, { progressDeadlineSeconds: 60 }))
      await cluster.settle()
      assert.equal(progressing(cluster), 'ReplicaSetUpdated')
      await cluster.clock.advance(61_000)
      await cluster.settle()
      assert.equal(progressing(cluster), 'ProgressDeadlineExceeded')
    }))

  it('takes another name when its own is taken', () =>
    running(async (cluster) => {
      const web = deployment('web', 1)
      const draft = replicaSetDraft(web, templateHash(template('one'), 0), 0, {})
      const stranger = {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        metadata: metadata(draft.metadata.name!, { ownerReferences: [controllerReference(deployment('other', 1))] }),
        spec: draft.spec,
        status: {},
      } as ReplicaSet
      stranger.metadata.ownerReferences![0]!.uid = 'other-uid'
      cluster.put(stranger)
      cluster.put(web)
      await cluster.settle()
      assert.equal(cluster.get('Deployment', 'web')!.status.collisionCount, 1)
      assert.equal(cluster.get('ReplicaSet', `web-${templateHash(template('one'), 1)}`)!.spec.replicas, 1)
      assert.equal(cluster.get('ReplicaSet', draft.metadata.name!)!.spec.replicas, 0)
    }))

  it('adopts a ReplicaSet of its template that lost its owner', () =>
    running(async (cluster) => {
      const web = deployment('web', 2)
      const draft = replicaSetDraft(web, templateHash(template('one'), 0), 1, {})
      cluster.put({
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        metadata: metadata('kept', { labels: draft.metadata.labels }),
        spec: draft.spec,
        status: {},
      } as ReplicaSet)
      cluster.put(web)
      await becomeReady(cluster)
      assert.equal(cluster.list('ReplicaSet').length, 1)
      const kept = cluster.get('ReplicaSet', 'kept')!
      assert.deepEqual([kept.metadata.ownerReferences?.[0]?.name, kept.spec.replicas], ['web', 2])
    }))

  it('makes one ReplicaSet though the cache lags', () =>
    running(async (cluster) => {
      cluster.put(deployment('web', 3))
      cluster.holdCache()
      await cluster.settle()
      await cluster.releaseCache()
      await becomeReady(cluster)
      assert.equal(cluster.list('ReplicaSet').length, 1)
      assert.equal(cluster.calls.filter(({ verb }) => verb === 'create').length, 4)
    }))

  it('keeps trying when the API refuses, and says so', () =>
    running(async (cluster) => {
      cluster.refuse = (verb, { kind }) =>
        verb === 'create' && kind === 'ReplicaSet' ? new GantryError('Forbidden', 'not now') : undefined
      cluster.put(deployment('web', 1))
      await cluster.settle()
      await cluster.clock.advance(1000)
      await cluster.settle()
      assert.ok(cluster.calls.filter(({ verb }) => verb === 'create').length > 3)
      assert.deepEqual(cluster.events, ['Warning ReplicaSetCreateError Failed to create the new replica set: not now'])
      assert.equal(progressing(cluster), 'ReplicaSetCreateError')
      cluster.refuse = () => undefined
      await cluster.clock.advance(60_000)
      await cluster.settle()
      assert.equal(progressing(cluster), 'ReplicaSetUpdated')
      await becomeReady(cluster)
      assert.deepEqual(images(cluster), ['one'])
    }))

  it('writes nothing once everything is as it should be', () =>
    running(async (cluster) => {
      cluster.put(deployment('web', 3))
      await becomeReady(cluster)
      const before = cluster.calls.length
      cluster.change('Deployment', 'web', ({ metadata: meta }) => void (meta.labels = { touched: 'yes' }))
      await cluster.settle()
      assert.deepEqual(cluster.calls.slice(before), [])
    }))
})
