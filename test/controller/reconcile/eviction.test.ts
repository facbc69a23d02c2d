import assert from 'node:assert/strict'
import { planEviction } from '../../../controller/reconcile/eviction/plan.ts'
import { TaintEvictor } from '../../../controller/reconcile/eviction/reconciler.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { Taint, Toleration } from '../../../proto/gen/types.ts'
import { node, pod } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

const START = Date.UTC(2026, 0, 1)
const at = (seconds: number): string => formatTime(START + seconds * 1000)
const taint = (key: string, seconds = 0, effect: Taint['effect'] = 'NoExecute'): Taint => ({
  key,
  effect,
  timeAdded: at(seconds),
})
const tolerating = (tolerations: Toleration[], cameAt = 0) =>
  pod('p', {
    metadata: { creationTimestamp: at(0) },
    spec: { nodeName: 'n1', tolerations },
    status: { conditions: [{ type: 'PodScheduled', status: 'True', lastTransitionTime: at(cameAt) }] },
  })

describe('eviction plan', () => {
  const cases: [what: string, tolerations: Toleration[], taints: Taint[], expected: string][] = [
    ['nothing is tainted', [], [], 'stay'],
    ['it tolerates nothing', [], [taint('a')], 'evict a'],
    ['it tolerates another', [{ key: 'b', operator: 'Exists' }], [taint('a')], 'evict a'],
    ['it tolerates it for good', [{ key: 'a', operator: 'Exists' }], [taint('a')], 'stay'],
    ['it tolerates everything', [{ operator: 'Exists' }], [taint('a'), taint('b')], 'stay'],
    ['it tolerates one of two', [{ key: 'a', operator: 'Exists' }], [taint('a'), taint('b')], 'evict b'],
    [
      'its time runs',
      [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 }],
      [taint('a')],
      'wait 50000',
    ],
    [
      'the shortest time counts',
      [
        { key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 },
        { key: 'b', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 },
      ],
      [taint('a'), taint('b')],
      'wait 20000',
    ],
    [
      'one for a time, one for good',
      [
        { key: 'a', operator: 'Exists' },
        { key: 'b', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 },
      ],
      [taint('a'), taint('b')],
      'wait 20000',
    ],
    [
      'its time is over',
      [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 10 }],
      [taint('a')],
      'evict a',
    ],
    [
      'its time is none',
      [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 0 }],
      [taint('a', 10)],
      'evict a',
    ],
    [
      'its time is less than none',
      [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: -5 }],
      [taint('a', 10)],
      'evict a',
    ],
    [
      'the first of two tolerations counts',
      [
        { key: 'a', operator: 'Exists' },
        { key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 1 },
      ],
      [taint('a')],
      'stay',
    ],
  ]
  for (const [what, tolerations, taints, expected] of cases) {
    it(`${expected.split(' ')[0]}: ${what}`, () => {
      const plan = planEviction(tolerating(tolerations), taints, START + 10_000)
      assert.equal(
        plan.kind === 'wait' ? `wait ${plan.millis}` : plan.kind === 'evict' ? `evict ${plan.taint.key}` : plan.kind,
        expected,
      )
    })
  }

  it('counts from when the pod came, if that was after the taint', () => {
    const brief: Toleration[] = [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 10 }]
    assert.deepEqual(planEviction(tolerating(brief, 8), [taint('a')], START + 10_000), { kind: 'wait', millis: 8_000 })
  })

  it('leaves alone what has ended or is told to', () => {
    assert.equal(planEviction(pod('p', { status: { phase: 'Succeeded' } }), [taint('a')], START).kind, 'stay')
    assert.equal(planEviction(pod('p', { metadata: { deletionTimestamp: at(0) } }), [taint('a')], START).kind, 'stay')
  })
})

describe('taint eviction', () => {
  let plane: SteppedControlPlane
  const left = (): string[] =>
    plane
      .list('Pod')
      .filter(({ metadata: { deletionTimestamp } }) => deletionTimestamp === undefined)
      .map(({ metadata: { name } }) => name)
  const brief: Toleration[] = [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 }]

  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    plane.run(new TaintEvictor(plane.parts))
    for (const name of ['n1', 'n2']) await plane.put(node(name))
    await plane.put(pod('plain', { spec: { nodeName: 'n1' } }))
    await plane.put(pod('brief', { spec: { nodeName: 'n1', tolerations: brief } }))
    await plane.put(pod('elsewhere', { spec: { nodeName: 'n2' } }))
    await plane.put(pod('waiting'))
    await plane.settle()
  })
  afterEach(() => plane.stop())

  it('deletes at once what tolerates nothing, and the rest when its time is over', async () => {
    assert.deepEqual(left(), ['brief', 'elsewhere', 'plain', 'waiting'])
    await plane.change(
      'Node',
      'n1',
      ({ spec }) =>
        void (spec.taints = [{ key: 'a', value: 'b', effect: 'NoExecute', timeAdded: formatTime(plane.clock.now()) }]),
    )
    await plane.settle()
    assert.deepEqual(left(), ['brief', 'elsewhere', 'waiting'])
    assert.deepEqual(plane.events, [
      'Normal TaintManagerEviction Evicted from node n1, which is tainted a=b:NoExecute; it has no controller that would replace it',
    ])
    await plane.pass(59_999)
    assert.deepEqual(left(), ['brief', 'elsewhere', 'waiting'])
    await plane.pass(1)
    assert.deepEqual(left(), ['elsewhere', 'waiting'])
  })

  it('leaves a pod whose node loses the taint in time', async () => {
    await plane.change(
      'Node',
      'n1',
      ({ spec }) => void (spec.taints = [{ key: 'a', effect: 'NoExecute', timeAdded: formatTime(plane.clock.now()) }]),
    )
    await plane.settle()
    await plane.pass(30_000)
    await plane.change('Node', 'n1', ({ spec }) => void (spec.taints = []))
    await plane.settle()
    await plane.pass(60_000)
    assert.deepEqual(left(), ['brief', 'elsewhere', 'waiting'])
  })

  it('judges pods that come to a tainted node, not other effects', async () => {
    await plane.change('Node', 'n2', ({ spec }) => void (spec.taints = [{ key: 'x', effect: 'NoSchedule' }]))
    await plane.settle()
    assert.deepEqual(left(), ['brief', 'elsewhere', 'plain', 'waiting'])
    await plane.put(node('n3', { taints: [{ key: 'x', effect: 'NoExecute' }] }))
    await plane.bind('waiting', 'n3')
    await plane.settle()
    assert.deepEqual(left(), ['brief', 'elsewhere', 'plain'])
  })

  it('tries again when a deletion fails', async () => {
    let failures = 2
    plane.refuse = ({ verb }) =>
      verb === 'delete' && failures-- > 0 ? new GantryError('Unavailable', 'away') : undefined
    await plane.change('Node', 'n1', ({ spec }) => void (spec.taints = [{ key: 'z', effect: 'NoExecute' }]))
    await plane.settle()
    await plane.pass(1_000)
    assert.deepEqual(left(), ['elsewhere', 'waiting'])
  })
})
