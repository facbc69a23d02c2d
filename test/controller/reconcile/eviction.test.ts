import assert from 'node:assert/strict'
import { planEviction } from '../../../controller/reconcile/eviction/plan.ts'
import { TaintEvictor } from '../../../controller/reconcile/eviction/reconciler.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { Node, Taint, Toleration } from '../../../proto/gen/types.ts'
import { FakeCluster, metadata, pod } from './fake.ts'

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
  const node = (name: string, taints: Taint[] = []): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: metadata(name, { namespace: '' }),
    spec: { taints },
    status: {},
  })
  const left = (cluster: FakeCluster): string[] =>
    cluster
      .list('Pod')
      .filter(({ metadata: { deletionTimestamp } }) => deletionTimestamp === undefined)
      .map(({ metadata: { name } }) => name)
  const brief: Toleration[] = [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 }]

  async function running(work: (cluster: FakeCluster) => Promise<void>): Promise<void> {
    const cluster = new FakeCluster()
    await cluster.running([new TaintEvictor(cluster.parts)], async () => {
      cluster.put(node('n1'))
      cluster.put(node('n2'))
      cluster.put(pod('plain', { spec: { nodeName: 'n1' } }))
      cluster.put(pod('brief', { spec: { nodeName: 'n1', tolerations: brief } }))
      cluster.put(pod('elsewhere', { spec: { nodeName: 'n2' } }))
      cluster.put(pod('waiting'))
      await cluster.settle()
      await work(cluster)
    })
  }

  it('deletes at once what tolerates nothing, and the rest when its time is over', () =>
    running(async (cluster) => {
      assert.deepEqual(left(cluster), ['plain', 'brief', 'elsewhere', 'waiting'])
      cluster.change(
        'Node',
        'n1',
        ({ spec }) =>
          void (spec.taints = [
            { key: 'a', value: 'b', effect: 'NoExecute', timeAdded: formatTime(cluster.clock.now()) },
          ]),
        '',
      )
      await cluster.settle()
      assert.deepEqual(left(cluster), ['brief', 'elsewhere', 'waiting'])
      assert.deepEqual(cluster.events, [
        'Normal TaintManagerEviction Evicted from node n1, which is tainted a=b:NoExecute; it has no controller that would replace it',
      ])
      await cluster.clock.advance(59_999)
      await cluster.settle()
      assert.deepEqual(left(cluster), ['brief', 'elsewhere', 'waiting'])
      await cluster.clock.advance(1)
      await cluster.settle()
      assert.deepEqual(left(cluster), ['elsewhere', 'waiting'])
    }))

  it('leaves a pod whose node loses the taint in time', () =>
    running(async (cluster) => {
      cluster.change(
        'Node',
        'n1',
        ({ spec }) =>
          void (spec.taints = [{ key: 'a', effect: 'NoExecute', timeAdded: formatTime(cluster.clock.now()) }]),
        '',
      )
      await cluster.settle()
      await cluster.clock.advance(30_000)
      cluster.change('Node', 'n1', ({ spec }) => void (spec.taints = []), '')
      await cluster.settle()
      await cluster.clock.advance(60_000)
      await cluster.settle()
      assert.deepEqual(left(cluster), ['brief', 'elsewhere', 'waiting'])
    }))

  it('judges pods that come to a tainted node, not other effects', () =>
    running(async (cluster) => {
      cluster.change('Node', 'n2', ({ spec }) => void (spec.taints = [{ key: 'x', effect: 'NoSchedule' }]), '')
      await cluster.settle()
      assert.deepEqual(left(cluster), ['plain', 'brief', 'elsewhere', 'waiting'])
      cluster.put(node('n3', [{ key: 'x', effect: 'NoExecute', timeAdded: formatTime(cluster.clock.now()) }]))
      cluster.change('Pod', 'waiting', ({ spec }) => void (spec.nodeName = 'n3'))
      await cluster.settle()
      assert.deepEqual(left(cluster), ['plain', 'brief', 'elsewhere'])
    }))

  it('tries again when a deletion fails', () =>
    running(async (cluster) => {
      let failures = 2
      cluster.refuse = (verb) =>
        verb === 'delete' && failures-- > 0 ? new GantryError('Unavailable', 'away') : undefined
      cluster.change('Node', 'n1', ({ spec }) => void (spec.taints = [{ key: 'z', effect: 'NoExecute' }]), '')
      await cluster.settle()
      await cluster.clock.advance(1_000)
      await cluster.settle()
      assert.deepEqual(left(cluster), ['elsewhere', 'waiting'])
    }))
})
