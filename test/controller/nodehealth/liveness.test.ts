import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  changesAt,
  LOST_TIMEOUT_MS,
  observe,
  SUSPECT_TIMEOUT_MS,
  type Liveness,
  type LivenessEvent,
} from '../../../controller/nodehealth/liveness.ts'

const ready: Liveness = { is: 'ready', lastSign: 1_000 }
const suspect: Liveness = { is: 'suspect', lastSign: 1_000 }
const lost: Liveness = { is: 'lost', lastSign: 1_000 }

describe('liveness of a node', () => {
  for (const [before, kind, at, expected, lastSign] of [
    [ready, 'time', 3_999, 'ready', 1_000],
    [ready, 'time', 4_000, 'suspect', 1_000],
    [ready, 'time', 6_000, 'lost', 1_000],
    [ready, 'spoke', 3_999, 'ready', 3_999],
    [ready, 'spoke', 500, 'ready', 1_000],
    [ready, 'registered', 2_000, 'ready', 2_000],
    [suspect, 'time', 5_999, 'suspect', 1_000],
    [suspect, 'time', 6_000, 'lost', 1_000],
    [suspect, 'time', 0, 'suspect', 1_000],
    [suspect, 'spoke', 4_500, 'ready', 4_500],
    [suspect, 'registered', 4_500, 'ready', 4_500],
    [lost, 'time', 100_000, 'lost', 1_000],
    [lost, 'spoke', 7_000, 'lost', 1_000],
    [lost, 'registered', 7_000, 'ready', 7_000],
  ] as const) {
    it(`${before.is} at 1000, ${kind} at ${at}: ${expected}`, () => {
      assert.deepEqual(observe(before, { kind, at }), { is: expected, lastSign })
    })
  }

  const signs = fc
    .array(
      fc.record({ kind: fc.constantFrom('registered', 'spoke', 'time'), after: fc.integer({ min: 0, max: 4_000 }) }),
      { maxLength: 40 },
    )
    .map((list) =>
      list.reduce<LivenessEvent[]>(
        (all, { kind, after }) => [...all, { kind: kind as LivenessEvent['kind'], at: (all.at(-1)?.at ?? 0) + after }],
        [],
      ),
    )

  it('is what the silence since the last sign that counts makes it', () =>
    fc.assert(
      fc.property(signs, (list) => {
        let state: Liveness = { is: 'ready', lastSign: 0 }
        for (const sign of list) {
          const before = observe(state, { kind: 'time', at: sign.at })
          state = observe(before, sign)
          const silent = sign.at - state.lastSign
          switch (state.is) {
            case 'ready':
              assert.ok(silent < SUSPECT_TIMEOUT_MS)
              break
            case 'suspect':
              assert.ok(silent >= SUSPECT_TIMEOUT_MS && silent < LOST_TIMEOUT_MS)
              break
            case 'lost':
              assert.ok(silent >= LOST_TIMEOUT_MS)
          }
          if (before.is === 'lost') assert.equal(state.is, sign.kind === 'registered' ? 'ready' : 'lost')
        }
      }),
    ))

  it('changes by time alone when it says, and not before', () =>
    fc.assert(
      fc.property(signs, (list) => {
        const state = list.reduce(observe, { is: 'ready', lastSign: 0 } as Liveness)
        const due = changesAt(state)
        if (due === undefined) return assert.equal(state.is, 'lost')
        assert.equal(observe(state, { kind: 'time', at: due - 1 }).is, state.is)
        assert.notEqual(observe(state, { kind: 'time', at: due }).is, state.is)
        return undefined
      }),
    ))

  it('comes to the same however often time is looked at', () =>
    fc.assert(
      fc.property(signs, fc.array(fc.integer({ min: 0, max: 200_000 })), (list, looks) => {
        const end = { kind: 'time', at: 300_000 } as const
        const withLooks = [...list, ...looks.map((at) => ({ kind: 'time' as const, at }))].sort((a, b) => a.at - b.at)
        // A look between a silence of five seconds and the next word is the only thing that decides whether that word
        // still counts: leave those out.
        fc.pre(
          list.every((sign, index) => sign.at - (list[index - 1]?.at ?? 0) < LOST_TIMEOUT_MS && sign.kind !== 'time'),
        )
        assert.deepEqual(
          observe(withLooks.reduce(observe, { is: 'ready', lastSign: 0 } as Liveness), end),
          observe(list.reduce(observe, { is: 'ready', lastSign: 0 } as Liveness), end),
        )
      }),
    ))
})
