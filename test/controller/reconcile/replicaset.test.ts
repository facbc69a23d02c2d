import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GantryError } from '../../../proto/base/errors.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { controllerReference } from '../../../proto/objects/owners.ts'
import { isActive } from '../../../proto/objects/pod.ts'
import { BURST, planReplicas } from '../../../controller/reconcile/replicaset/plan.ts'
import { ReplicaSetReconciler } from '../../../controller/reconcile/replicaset/reconciler.ts'
import { choosePods, DELETION_COST } from '../../../controller/reconcile/replicaset/removal.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import { metadata, pod, replicaSet } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

const NOW = Date.UTC(2026, 0, 1)
const readyFor = (seconds: number): Pod['status'] => ({
  phase: 'Running',
  conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: formatTime(NOW - seconds * 1000) }],
})
const running: Pod['status'] = { phase: 'Running' }

describe('choice of pods to delete', () => {
  const table: [string, Pod, Pod][] = [
    ['unassigned before assigned', pod('z'), pod('a', { spec: { nodeName: 'n' } })],
    [
      'pending before running',
      pod('z', { spec: { nodeName: 'n' } }),
      pod('a', { spec: { nodeName: 'n' }, status: running }),
    ],
    [
      'unknown before running',
      pod('z', { spec: { nodeName: 'n' }, status: { phase: 'Unknown' } }),
      pod('a', { spec: { nodeName: 'n' }, status: running }),
    ],
    [
      'not ready before ready',
      pod('z', { spec: { nodeName: 'n' }, status: running }),
      pod('a', { spec: { nodeName: 'n' }, status: readyFor(1) }),
    ],
    [
      'cheaper before dearer',
      pod('z', { metadata: { annotations: { [DELETION_COST]: '-5' } }, status: readyFor(9) }),
      pod('a', { status: readyFor(1) }),
    ],
    [
      'ready for less time before ready for longer',
      pod('z', { status: readyFor(1) }),
      pod('a', { status: readyFor(60) }),
    ],
    [
      'more restarts before fewer',
      pod('z', {
        status: {
          ...running,
          containerStatuses: [{ name: 'c', restartCount: 3, ready: false, image: '', imageID: '' }],
        },
      }),
      pod('a', { status: running }),
    ],
    [
      'younger before older',
      pod('z', { metadata: { creationTimestamp: '2026-01-01T00:00:09Z' } }),
      pod('a', { metadata: { creationTimestamp: '2026-01-01T00:00:01Z' } }),
    ],
  ]
  for (const [what, first, second] of table) {
    it(what, () => {
      assert.deepEqual(
        choosePods([second, first], [], 1).map(({ metadata: { name } }) => name),
        [first.metadata.name],
      )
      assert.deepEqual(
        choosePods([first, second], [], 1).map(({ metadata: { name } }) => name),
        [first.metadata.name],
      )
    })
  }

  it('takes from the node that has most', () => {
    const on = (name: string, nodeName: string): Pod => pod(name, { spec: { nodeName }, status: readyFor(5) })
    const pods = [on('a', 'n1'), on('b', 'n2')]
    assert.equal(choosePods(pods, [...pods, on('c', 'n2')], 1)[0]!.metadata.name, 'b')
  })
})

describe('ReplicaSet plan', () => {
  it('replaces pods that ended and counts only active ones', () => {
    const pods = [
      pod('a', { status: { phase: 'Failed' } }),
      pod('b', { status: { phase: 'Succeeded' } }),
      pod('c', { status: readyFor(1) }),
      pod('d', { metadata: { deletionTimestamp: 'x' } }),
    ]
    const plan = planReplicas({ owner: replicaSet('rs', 3), pods, related: pods }, NOW)
    assert.equal(plan.create, 2)
    assert.deepEqual(plan.status, {
      replicas: 1,
      fullyLabeledReplicas: 1,
      readyReplicas: 1,
      availableReplicas: 1,
      observedGeneration: 1,
    })
  })

  it('makes a bounded number of pods at a time', () => {
    const plan = planReplicas({ owner: replicaSet('rs', 2_000_000_000), pods: [], related: [] }, NOW)
    assert.equal(plan.create, BURST)
  })

  it('makes nothing while it is being deleted', () => {
    const object = replicaSet('rs', 3)
    object.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
    assert.equal(planReplicas({ owner: object, pods: [], related: [] }, NOW).create, 0)
  })

  it('counts a pod as available after minReadySeconds and says when', () => {
    const pods = [pod('a', { status: readyFor(4) }), pod('b', { status: readyFor(12) })]
    const plan = planReplicas({ owner: replicaSet('rs', 2, { minReadySeconds: 10 }), pods, related: pods }, NOW)
    assert.deepEqual([plan.status.readyReplicas, plan.status.availableReplicas, plan.requeueAfterMs], [2, 1, 6000])
  })

  it('leads to the wanted number from anywhere', () => {
    const state = fc.constantFrom<Pod['status']>(
      { phase: 'Pending' },
      running,
      readyFor(3),
      { phase: 'Failed' },
      { phase: 'Unknown' },
    )
    fc.assert(
      fc.property(fc.nat(8), fc.array(state, { maxLength: 12 }), (replicas, states) => {
        const pods = states.map((status, index) => pod(`p${index}`, { status }))
        const { create, remove } = planReplicas({ owner: replicaSet('rs', replicas), pods, related: pods }, NOW)
        assert.equal(pods.filter(isActive).length + create - remove.length, replicas)
        assert.ok(create === 0 || remove.length === 0)
        assert.ok(remove.every(isActive))
      }),
    )
  })
})

describe('ReplicaSet reconciler', () => {
  let plane: SteppedControlPlane

  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
  })
  afterEach(() => plane.stop())

  it('creates all pods at once, counts them, deletes the surplus', async () => {
    await plane.put(replicaSet('rs', 5))
    plane.run(new ReplicaSetReconciler(plane.parts))
    await plane.settle()
    assert.equal(plane.list('Pod').length, 5)
    assert.equal(plane.get('ReplicaSet', 'rs')!.status.replicas, 5)
    assert.equal(plane.events.filter((event) => event.startsWith('Normal SuccessfulCreate Created pod: rs-')).length, 5)
    await plane.change('ReplicaSet', 'rs', (object) => void (object.spec.replicas = 2))
    await plane.settle()
    assert.equal(plane.list('Pod').length, 2)
    assert.equal(plane.events.filter((event) => event.startsWith('Normal SuccessfulDelete')).length, 3)
    const { template } = plane.get('ReplicaSet', 'rs')!.spec
    const [made] = plane.list('Pod')
    assert.deepEqual(made!.metadata.labels, template.metadata.labels)
    assert.deepEqual(made!.spec, { ...template.spec, enableServiceLinks: true })
  })

  it('gets to more pods than it makes at a time', async () => {
    await plane.put(replicaSet('rs', BURST + 1))
    plane.run(new ReplicaSetReconciler(plane.parts))
    await plane.settle()
    assert.equal(plane.list('Pod').length, BURST + 1)
  })

  it('creates and deletes nothing twice while the cache lags', async () => {
    plane.run(new ReplicaSetReconciler(plane.parts))
    /** What makes for another pass before the cache shows what the pass before has written. */
    const touch = () => plane.change('ReplicaSet', 'rs', ({ metadata }) => void (metadata.labels = { touched: 'yes' }))
    plane.holdCache()
    await plane.put(replicaSet('rs', 3))
    await touch()
    await plane.releaseCache()
    assert.equal(plane.requests.filter(({ verb }) => verb === 'create').length, 3)
    for (const {
      metadata: { name },
    } of plane.list('Pod'))
      await plane.makeReady(name)
    await plane.settle()
    plane.holdCache()
    await plane.change('ReplicaSet', 'rs', (object) => {
      object.spec.replicas = 1
      object.metadata.labels = {}
    })
    await touch()
    await plane.releaseCache()
    assert.equal(plane.list('Pod').filter(isActive).length, 1)
    assert.equal(plane.requests.filter(({ verb }) => verb === 'delete').length, 2)
  })

  it('looks again after a creation whose outcome is unknown', async () => {
    await plane.put(replicaSet('rs', 1))
    let lost = 0
    plane.loseAnswer = ({ verb }) =>
      verb === 'create' && lost++ === 0 ? new GantryError('Unavailable', 'answer lost') : undefined
    plane.run(new ReplicaSetReconciler(plane.parts))
    plane.holdCache()
    await plane.pass(100)
    await plane.releaseCache()
    await plane.pass(1_000)
    assert.deepEqual([plane.list('Pod').length, lost], [1, 1])
  })

  it('adopts what matches and releases what no longer does', async () => {
    await plane.put(pod('stray'))
    await plane.put(pod('other', { metadata: { labels: { app: 'db' } } }))
    await plane.put(replicaSet('rs', 2))
    plane.run(new ReplicaSetReconciler(plane.parts))
    await plane.settle()
    const { uid } = plane.get('ReplicaSet', 'rs')!.metadata
    assert.deepEqual(
      plane.get('Pod', 'stray')!.metadata.ownerReferences?.map((owner) => owner.uid),
      [uid],
    )
    assert.equal(plane.get('Pod', 'other')!.metadata.ownerReferences, undefined)
    assert.equal(plane.list('Pod').length, 3)
    await plane.change('Pod', 'stray', (object) => void (object.metadata.labels = {}))
    await plane.settle()
    assert.equal(plane.get('Pod', 'stray')!.metadata.ownerReferences, undefined)
    assert.equal(
      plane.list('Pod').filter(({ metadata: { ownerReferences } }) => ownerReferences?.[0]?.uid === uid).length,
      2,
    )
  })

  it('adopts nothing for a ReplicaSet that is gone, though the cache shows it', async () => {
    await plane.put(replicaSet('rs', 0))
    plane.run(new ReplicaSetReconciler(plane.parts))
    await plane.settle()
    plane.holdCache()
    await plane.put(pod('stray'))
    await plane.remove('ReplicaSet', 'rs')
    assert.ok(await plane.showNext())
    assert.deepEqual(
      plane.requests.slice(-1).map(({ verb, kind }) => `${verb} ${kind}`),
      ['get ReplicaSet'],
    )
    await plane.releaseCache()
    await plane.pass(1_000)
    assert.equal(plane.get('Pod', 'stray')!.metadata.ownerReferences, undefined)
  })

  it('leaves pods of another controller alone', async () => {
    const other = replicaSet('other', 1)
    other.metadata = metadata('other', { uid: 'other-uid' })
    await plane.put(pod('taken', { metadata: { ownerReferences: [controllerReference(other)] } }))
    await plane.put(replicaSet('rs', 0))
    plane.run(new ReplicaSetReconciler(plane.parts))
    await plane.settle()
    assert.deepEqual(
      plane.get('Pod', 'taken')!.metadata.ownerReferences?.map(({ uid }) => uid),
      ['other-uid'],
    )
  })

  it('says why it cannot create, once, and goes on when it can', async () => {
    await plane.put(replicaSet('rs', 2))
    plane.refuse = ({ verb }) => (verb === 'create' ? new GantryError('Forbidden', 'quota is used up') : undefined)
    plane.run(new ReplicaSetReconciler(plane.parts))
    await plane.settle()
    await plane.pass(200)
    const condition = plane.get('ReplicaSet', 'rs')!.status.conditions?.[0]
    assert.deepEqual(
      [condition?.type, condition?.reason, condition?.message],
      ['ReplicaFailure', 'FailedCreate', 'cannot create a pod: quota is used up'],
    )
    assert.deepEqual(plane.events, ['Warning FailedCreate cannot create a pod: quota is used up'])
    plane.refuse = () => undefined
    await plane.pass(60_000)
    assert.equal(plane.list('Pod').length, 2)
    assert.equal(plane.get('ReplicaSet', 'rs')!.status.conditions, undefined)
  })

  it('tries again in time, and not at once, where each refusal has other words', async () => {
    await plane.put(replicaSet('rs', 1))
    let tries = 0
    // Ends by itself, so that a loop is a failure here and not a test that hangs.
    plane.refuse = ({ verb }) =>
      verb === 'create' && tries < 100 ? new GantryError('Forbidden', `Pod rs-${++tries} is forbidden`) : undefined
    plane.run(new ReplicaSetReconciler(plane.parts))
    await plane.settle()
    // The first pass also writes what it has counted, which is a change.
    assert.ok(tries <= 2, `${tries} tries at once`)
    await plane.pass(60_000)
    assert.ok(tries > 1 && tries < 30, `${tries} tries in a minute`)
  })

  it('counts pods as available when their time has come', async () => {
    await plane.put(replicaSet('rs', 1, { minReadySeconds: 10 }))
    plane.run(new ReplicaSetReconciler(plane.parts))
    await plane.settle()
    await plane.makeReady(plane.list('Pod')[0]!.metadata.name)
    await plane.settle()
    assert.equal(plane.get('ReplicaSet', 'rs')!.status.availableReplicas, 0)
    await plane.pass(10_000)
    assert.equal(plane.get('ReplicaSet', 'rs')!.status.availableReplicas, 1)
  })
})
