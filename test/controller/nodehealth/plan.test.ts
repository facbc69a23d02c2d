import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  disruptionStateOf,
  RECOVERY_GRACE_MS,
  DISRUPTION_WINDOW_MS,
} from '../../../controller/nodehealth/disruption-state.ts'
import { planNodeHealth, withTaints } from '../../../controller/nodehealth/plan.ts'
import { podStatusForNodeHealth } from '../../../controller/nodehealth/pod-node-status.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { Node, Pod, Taint } from '../../../proto/gen/types.ts'
import { pod } from '../objects.ts'
import { node, unreachable, type State } from './nodes.ts'

const NOW = Date.UTC(2026, 0, 1, 12)
const noExecute: Taint = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute', timeAdded: formatTime(NOW) }

/**
 * r: ready, s: suspect, l: lost and not yet judged, e: lost just now and emptied, o: lost long ago and emptied, c: lost
 * and confirmed, n: never heard from.
 */
function make(letters: string): Node[] {
  return [...letters].map((letter, index) => {
    const name = `n${index}`
    switch (letter) {
      case 'r':
        return node(name, 'ready', NOW)
      case 's':
        return node(name, 'suspect', NOW)
      case 'l':
        return node(name, 'lost', NOW)
      case 'e':
        return node(name, 'lost', NOW - DISRUPTION_WINDOW_MS + 1_000, { taints: [noExecute] })
      case 'o':
        return node(name, 'lost', NOW - DISRUPTION_WINDOW_MS, { taints: [noExecute] })
      case 'c':
        return node(name, 'lost', NOW, { annotations: { 'gantry.dev/lost': 'confirmed' } })
      default:
        return node(name, 'never', NOW)
    }
  })
}

describe('brake', () => {
  for (const [nodes, expected, why] of [
    ['', 'off', 'there is no node'],
    ['r', 'off', 'all is well'],
    ['l', 'NoNodeReady', 'nobody could take the work of the only one'],
    ['rl', 'off', 'one of two is replaced'],
    ['ll', 'NoNodeReady', 'both of two'],
    ['rrl', 'off', 'one of three is a third, not more'],
    ['rll', 'TooManyNodesLost', 'two of three'],
    ['rsl', 'TooManyNodesLost', 'one is about to follow'],
    ['rrrl', 'off', 'one of four'],
    ['rrll', 'TooManyNodesLost', 'two of four'],
    ['rrrrll', 'off', 'two of six'],
    ['rrrrrrlll', 'off', 'three of nine'],
    ['rrrrrllll', 'TooManyNodesLost', 'four of nine'],
    ['rrrrrsssl', 'TooManyNodesLost', 'four of nine, three of them found a moment later'],
    ['rrrrreeel', 'TooManyNodesLost', 'one after the other within the window'],
    ['rrrrroool', 'off', 'three were settled before'],
    ['roool', 'off', 'one of the two that were there'],
    ['ool', 'NoNodeReady', 'the last one'],
    ['rrlln', 'TooManyNodesLost', 'who never came does not count'],
    ['rll', 'TooManyNodesLost', 'nobody has said anything'],
    ['rlc', 'off', 'a person has said that one is gone'],
    ['rcc', 'off', 'a person has said that both are gone'],
    ['cc', 'off', 'a person has said that all are gone'],
    ['s', 'NoNodeReady', 'the only one is about to go'],
  ] as const) {
    it(`${expected}: ${nodes === '' ? 'nothing' : nodes}: ${why}`, () => {
      const brake = disruptionStateOf(make(nodes), NOW)
      assert.equal(brake.is === 'off' ? 'off' : brake.reason, expected)
    })
  }

  const letters = fc.array(fc.constantFrom(...'rrrsleocn'), { maxLength: 30 }).map((list) => list.join(''))

  it('never holds one of several, and always holds more than a third of those that there were', () =>
    fc.assert(
      fc.property(letters, (text) => {
        const count = (wanted: string): number => [...text].filter((letter) => wanted.includes(letter)).length
        const [alive, vanished] = [count('r'), count('sle')]
        const brake = disruptionStateOf(make(text), NOW)
        if (vanished === 0 || (vanished === 1 && alive > 0)) assert.equal(brake.is, 'off')
        else assert.equal(brake.is === 'held', alive === 0 || vanished > (alive + vanished) / 3)
      }),
    ))
})

describe('plan for the health of nodes', () => {
  /** What the objects say once the plan is carried out. */
  function carriedOut(nodes: Node[]): Node[] {
    const { verdicts } = planNodeHealth(nodes, NOW)
    return nodes.map((before) => {
      const verdict = verdicts.find((found) => found.node === before)
      if (verdict === undefined) return before
      const after = structuredClone(before)
      const taints = withTaints(after.spec.taints, verdict.taints)
      if (taints !== undefined)
        after.spec.taints = taints.map((taint) =>
          taint.effect === 'NoExecute' ? { timeAdded: formatTime(NOW), ...taint } : taint,
        )
      if (verdict.health === 'ready') delete after.metadata.annotations!['gantry.dev/lost']
      after.status.conditions = after.status.conditions!.filter(({ type }) => type !== 'EvictionHeld')
      if (verdict.held !== undefined)
        after.status.conditions.push({ type: 'EvictionHeld', status: 'True', reason: verdict.held.reason })
      return after
    })
  }

  const states = (nodes: Node[]): string[] =>
    carriedOut(nodes).map(
      (after) =>
        `${unreachable(after).join('+')}${after.status.conditions!.some(({ type }) => type === 'EvictionHeld') ? ' held' : ''}`,
    )

  for (const [nodes, expected] of [
    ['rrr', ['', '', '']],
    ['rrs', ['', '', 'NoSchedule']],
    ['rrl', ['', '', 'NoExecute+NoSchedule']],
    ['rll', ['', 'NoSchedule held', 'NoSchedule held']],
    ['rlc', ['', 'NoExecute+NoSchedule', 'NoExecute+NoSchedule']],
    ['rllc', ['', 'NoSchedule held', 'NoSchedule held', 'NoExecute+NoSchedule']],
    ['rllo', ['', 'NoSchedule held', 'NoSchedule held', 'NoExecute+NoSchedule']],
    ['rel', ['', 'NoSchedule held', 'NoSchedule held']],
    ['rn', ['', '']],
  ] as const) {
    it(`${nodes}: ${expected.map((text) => text || '–').join(', ')}`, () =>
      assert.deepEqual(states(make(nodes)), expected))
  }

  it('leaves taints of others, and takes back all of its own from a node that is back', () => {
    const other: Taint = { key: 'gpu', effect: 'NoExecute', timeAdded: formatTime(0) }
    const back = node('n1', 'ready', NOW, {
      taints: [other, { key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' }, noExecute],
      annotations: { 'gantry.dev/lost': 'confirmed' },
      conditions: [{ type: 'EvictionHeld', status: 'True', reason: 'NoNodeReady' }],
    })
    const [after] = carriedOut([back])
    assert.deepEqual(after!.spec.taints, [other])
    assert.equal(after!.metadata.annotations!['gantry.dev/lost'], undefined)
    assert.deepEqual(
      after!.status.conditions!.map(({ type }) => type),
      ['Ready'],
    )
  })

  it('is at rest once it is carried out, whatever there was', () =>
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...'rrrsleocn'), { maxLength: 20 }).map((list) => list.join('')),
        (text) => {
          const after = carriedOut(carriedOut(make(text)))
          assert.deepEqual(planNodeHealth(after, NOW).verdicts, [])
        },
      ),
    ))

  it('does not wait for others where nothing was held, nor by a clock that is far off', () => {
    assert.equal(planNodeHealth(make('rrl'), NOW).brake.is, 'off')
    const held = carriedOut(make('rll'))[1]!
    assert.equal(
      planNodeHealth([node('n0', 'ready', NOW + 3_600_000), node('n2', 'ready', NOW - 3_600_000), held], NOW).brake.is,
      'off',
    )
    assert.equal(
      planNodeHealth(
        [
          node('n0', 'ready', NOW),
          node('n2', 'ready', NOW),
          { ...held, metadata: { ...held.metadata, annotations: { 'gantry.dev/lost': 'confirmed' } } },
        ],
        NOW,
      ).brake.is,
      'off',
    )
  })

  it('holds a node back until enough are back, however long that is', () => {
    let nodes = carriedOut(make('rrrrrllll'))
    const later = NOW + 100 * DISRUPTION_WINDOW_MS
    assert.equal(planNodeHealth(nodes, later).brake.is, 'held')
    nodes = [...nodes.slice(0, 8), node('n8', 'ready', later)]
    // Its condition tells whole seconds: it may have come back just before the next.
    const atLatest = later + 1_000
    for (const [at, millis] of [
      [later, RECOVERY_GRACE_MS],
      [atLatest, RECOVERY_GRACE_MS],
      [atLatest + 2_000, RECOVERY_GRACE_MS - 2_000],
      [later - 2_000, RECOVERY_GRACE_MS],
    ] as const) {
      const { brake, verdicts } = planNodeHealth(nodes, at)
      assert.deepEqual(brake, { is: 'held', reason: 'NodesReturning', vanished: 3, living: 9, millis })
      assert.deepEqual(
        verdicts.map(({ taints, held }) => [taints.noExecute, held?.reason]),
        [
          [false, 'NodesReturning'],
          [false, 'NodesReturning'],
          [false, 'NodesReturning'],
        ],
      )
    }
    const { brake, verdicts } = planNodeHealth(nodes, atLatest + RECOVERY_GRACE_MS)
    assert.equal(brake.is, 'off')
    assert.deepEqual(
      verdicts.map(({ node: { metadata }, taints, held }) => [metadata.name, taints.noExecute, held]),
      [
        ['n5', true, undefined],
        ['n6', true, undefined],
        ['n7', true, undefined],
      ],
    )
  })
})

describe('what a pod says of a node that is not heard from', () => {
  const since = formatTime(NOW)
  const running = (): Pod =>
    pod('p', {
      spec: { nodeName: 'n1' },
      status: {
        phase: 'Running',
        podIP: '10.0.0.1',
        conditions: [
          { type: 'Ready', status: 'True', lastTransitionTime: '2025-12-31T00:00:00Z' },
          { type: 'ContainersReady', status: 'True', lastTransitionTime: '2025-12-31T00:00:00Z' },
        ],
      },
    })
  const marked = (of: Pod, state: Exclude<State, 'never'>): Pod => ({
    ...of,
    status: podStatusForNodeHealth(of, state === 'ready' ? { is: 'ready' } : { is: state, since }) ?? of.status,
  })
  const ready = ({ status }: Pod): unknown[] => {
    const { status: value, reason, lastTransitionTime } = status.conditions!.find(({ type }) => type === 'Ready')!
    return [value, reason, lastTransitionTime]
  }

  it('suspect: not ready any more, as far as is known', () => {
    const after = marked(running(), 'suspect')
    assert.deepEqual(ready(after), ['Unknown', 'NodeSuspect', since])
    assert.deepEqual([after.status.phase, after.status.reason, after.status.podIP], ['Running', undefined, '10.0.0.1'])
  })

  it('lost: unknown, since when, and the phase as it was last observed', () => {
    const after = marked(marked(running(), 'suspect'), 'lost')
    assert.deepEqual(ready(after), ['Unknown', 'NodeLost', since])
    assert.deepEqual(
      [after.status.phase, after.status.reason, after.status.message],
      ['Running', 'NodeLost', `unknown since ${since}: node n1 is lost`],
    )
  })

  it('back: exactly as before', () => {
    for (const state of ['suspect', 'lost'] as const) {
      const before = running()
      const after = marked(marked(before, state), 'ready')
      const order = ({ status }: Pod): unknown => ({
        ...status,
        conditions: [...status.conditions!].sort((a, b) => (a.type < b.type ? -1 : 1)),
      })
      assert.deepEqual(order(after), order(before))
    }
  })

  it('what has ended is known for good, and what says so already is left alone', () => {
    const ended = pod('p', { spec: { nodeName: 'n1' }, status: { phase: 'Succeeded' } })
    assert.equal(podStatusForNodeHealth(ended, { is: 'lost', since }), undefined)
    for (const state of ['suspect', 'lost'] as const)
      assert.equal(podStatusForNodeHealth(marked(running(), state), { is: state, since: 'later' }), undefined)
    assert.equal(podStatusForNodeHealth(marked(running(), 'lost'), { is: 'suspect', since }), undefined)
    assert.equal(podStatusForNodeHealth(running(), { is: 'ready' }), undefined)
    assert.equal(podStatusForNodeHealth(running(), { is: 'unknown' }), undefined)
  })

  it('a pod that never reported gets its mark and loses it', () => {
    const fresh = pod('p', { spec: { nodeName: 'n1' } })
    const after = marked(fresh, 'lost')
    assert.equal(after.status.reason, 'NodeLost')
    assert.deepEqual(marked(after, 'ready').status.conditions, [])
  })
})
