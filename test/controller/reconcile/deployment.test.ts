import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { controllerReference } from '../../../proto/objects/owners.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { DeploymentReconciler } from '../../../controller/reconcile/deployment/reconciler.ts'
import { replicaSetDraft, REVISION, templateHash } from '../../../controller/reconcile/deployment/template.ts'
import { ReplicaSetReconciler } from '../../../controller/reconcile/replicaset/reconciler.ts'
import type { ReplicaSet } from '../../../proto/gen/types.ts'
import { deployment, metadata, template } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

let plane: SteppedControlPlane

const images = (): string[] =>
  plane
    .list('Pod')
    .filter(({ metadata: { deletionTimestamp } }) => deletionTimestamp === undefined)
    .map(({ spec }) => spec.containers[0]!.image!)
    .sort()
const progressing = (): string | undefined =>
  findCondition(plane.get('Deployment', 'web')!.status.conditions, 'Progressing')?.reason

describe('Deployment reconciler', () => {
  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    plane.run(new DeploymentReconciler(plane.parts), new ReplicaSetReconciler(plane.parts))
  })
  afterEach(() => plane.stop())

  it('rolls out, rolls on, rolls back', async () => {
    await plane.put(deployment('web', 4))
    await plane.runPods()
    assert.deepEqual(images(), ['one', 'one', 'one', 'one'])
    assert.equal(progressing(), 'NewReplicaSetAvailable')
    assert.equal(plane.get('Deployment', 'web')!.metadata.annotations?.[REVISION], '1')
    const first = `web-${templateHash(template('one'), 0)}`
    assert.ok(plane.events.includes(`Normal ScalingReplicaSet Scaled up replica set ${first} from 0 to 4`))

    await plane.change('Deployment', 'web', ({ spec }) => void (spec.template = template('two')))
    await plane.runPods()
    assert.deepEqual(images(), ['two', 'two', 'two', 'two'])
    const status = plane.get('Deployment', 'web')!.status
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
    assert.equal(plane.get('ReplicaSet', first)!.spec.replicas, 0)
    assert.ok(
      plane.events.some((event) => event.startsWith(`Normal ScalingReplicaSet Scaled down replica set ${first} from `)),
    )

    await plane.change('Deployment', 'web', ({ spec }) => void (spec.template = template('one')))
    await plane.runPods()
    assert.deepEqual(images(), ['one', 'one', 'one', 'one'])
    assert.equal(plane.list('ReplicaSet').length, 2)
    assert.equal(plane.get('ReplicaSet', first)!.metadata.annotations?.[REVISION], '3')
    assert.equal(plane.get('Deployment', 'web')!.metadata.annotations?.[REVISION], '3')
  })

  it('tells of no scaling when it makes a ReplicaSet of no pods', async () => {
    await plane.put(deployment('web', 0))
    await plane.settle()
    assert.equal(plane.list('ReplicaSet').length, 1)
    assert.deepEqual(
      plane.events.filter((event) => event.includes('ScalingReplicaSet')),
      [],
    )
  })

  it('with Recreate starts new pods when the last old one is gone', async () => {
    const available = (): string | undefined =>
      findCondition(plane.get('Deployment', 'web')!.status.conditions, 'Available')?.status
    await plane.put(deployment('web', 2, { strategy: { type: 'Recreate' } }))
    await plane.settle()
    assert.equal(available(), 'False')
    await plane.runPods()
    assert.equal(available(), 'True')
    await plane.change('Deployment', 'web', ({ spec }) => void (spec.template = template('two')))
    await plane.settle()
    assert.deepEqual(images(), [])
    assert.equal(plane.list('Pod').length, 2)
    const [one, other] = plane.list('Pod')
    await plane.release(one!.metadata.name)
    await plane.settle()
    assert.deepEqual(images(), [])
    await plane.release(other!.metadata.name)
    await plane.settle()
    assert.deepEqual(images(), ['two', 'two'])
  })

  it('scales while paused, and rolls out when resumed', async () => {
    await plane.put(deployment('web', 2))
    await plane.runPods()
    await plane.change('Deployment', 'web', ({ spec }) => {
      spec.paused = true
      spec.template = template('two')
      spec.replicas = 3
    })
    await plane.runPods()
    assert.deepEqual(images(), ['one', 'one', 'one'])
    assert.equal(progressing(), 'DeploymentPaused')
    await plane.change('Deployment', 'web', ({ spec }) => void (spec.paused = false))
    await plane.runPods()
    assert.deepEqual(images(), ['two', 'two', 'two'])
  })

  it('reports a rollout that does not move', async () => {
    await plane.put(deployment('web', 1, { progressDeadlineSeconds: 60 }))
    await plane.settle()
    assert.equal(progressing(), 'ReplicaSetUpdated')
    await plane.pass(61_000)
    assert.equal(progressing(), 'ProgressDeadlineExceeded')
  })

  it('takes another name when its own is taken', async () => {
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
    await plane.put(stranger)
    await plane.put(web)
    await plane.settle()
    assert.equal(plane.get('Deployment', 'web')!.status.collisionCount, 1)
    assert.equal(plane.get('ReplicaSet', `web-${templateHash(template('one'), 1)}`)!.spec.replicas, 1)
    assert.equal(plane.get('ReplicaSet', draft.metadata.name!)!.spec.replicas, 0)
  })

  it('adopts a ReplicaSet of its template that lost its owner', async () => {
    const web = deployment('web', 2)
    const draft = replicaSetDraft(web, templateHash(template('one'), 0), 1, {})
    await plane.put({
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: metadata('kept', { labels: draft.metadata.labels }),
      spec: draft.spec,
      status: {},
    } as ReplicaSet)
    await plane.put(web)
    await plane.runPods()
    assert.equal(plane.list('ReplicaSet').length, 1)
    const kept = plane.get('ReplicaSet', 'kept')!
    assert.deepEqual([kept.metadata.ownerReferences?.[0]?.name, kept.spec.replicas], ['web', 2])
  })

  it('makes one ReplicaSet though the cache lags', async () => {
    plane.holdCache()
    await plane.put(deployment('web', 3))
    // Makes for another pass before the cache shows what the first has written.
    await plane.change('Deployment', 'web', ({ metadata: meta }) => void (meta.labels = { touched: 'yes' }))
    await plane.releaseCache()
    await plane.runPods()
    assert.equal(plane.list('ReplicaSet').length, 1)
    assert.equal(plane.requests.filter(({ verb }) => verb === 'create').length, 4)
  })

  it('keeps trying when the API refuses, and says so', async () => {
    plane.refuse = ({ verb, kind }) =>
      verb === 'create' && kind === 'ReplicaSet' ? new GantryError('Forbidden', 'not now') : undefined
    await plane.put(deployment('web', 1))
    await plane.settle()
    await plane.pass(1000)
    assert.ok(plane.requests.filter(({ verb }) => verb === 'create').length > 3)
    assert.deepEqual(plane.events, ['Warning ReplicaSetCreateError Failed to create the new replica set: not now'])
    assert.equal(progressing(), 'ReplicaSetCreateError')
    plane.refuse = () => undefined
    await plane.pass(60_000)
    assert.equal(progressing(), 'ReplicaSetUpdated')
    await plane.runPods()
    assert.deepEqual(images(), ['one'])
  })

  it('writes nothing once everything is as it should be', async () => {
    await plane.put(deployment('web', 3))
    await plane.runPods()
    const before = plane.requests.length
    await plane.change('Deployment', 'web', ({ metadata: meta }) => void (meta.labels = { touched: 'yes' }))
    await plane.settle()
    assert.deepEqual(plane.requests.slice(before), [])
  })
})
