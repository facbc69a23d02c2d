import assert from 'node:assert/strict'
import type { NodeInfo } from '../../../controller/scheduler/framework.ts'
import { refusedPlacement, type FittingPlacement } from '../../../controller/scheduler/placement.ts'
import type { NodeOutcome } from '../../../controller/scheduler/node-outcome.ts'
import { SchedulingDiagnostics } from '../../../controller/scheduler/scheduling-diagnostics.ts'

const NODES = 1_000

const refused: readonly NodeOutcome[] = Array.from({ length: NODES }, (_, index) => ({
  node: `n${index}`,
  fits: false,
  plugin: 'Unschedulable',
  refusal: { reason: 'cordoned', detail: 'is cordoned' },
}))

function fitting(name: string, explain: FittingPlacement['explain'], isExplained = false): FittingPlacement {
  return { fits: true, node: { name } as NodeInfo, score: 7, examined: NODES, explain, isExplained }
}

const one = (node: string): readonly NodeOutcome[] => [{ node, fits: true, score: 7 }]

describe('scheduling diagnostics', () => {
  let diagnostics: SchedulingDiagnostics
  const isKnown = (uid: string, boundTo = ''): boolean => diagnostics.why(uid, boundTo).verdicts.length > 0

  beforeEach(() => {
    diagnostics = new SchedulingDiagnostics()
  })

  it('works out what was found about nodes when somebody asks, and says when that is not known any more', () => {
    let asked = 0
    let outcomes: readonly NodeOutcome[] | undefined = one('n1')
    diagnostics.record(
      'a',
      fitting('n1', () => (asked++, outcomes)),
      0,
    )
    assert.equal(asked, 0)
    assert.equal(diagnostics.why('a', 'n1').summary, 'n1 is the best of 1 that fit (score 7; 1 node looked at)')
    outcomes = undefined
    assert.equal(diagnostics.why('a', 'n1').summary, 'bound to n1; nothing more is known of how that came about')
    assert.equal(isKnown('a', 'n2'), false, 'it is elsewhere than was found')
  })

  it('keeps a refusal once for all pods that share it', () => {
    const shared = refusedPlacement(refused, [])
    for (let index = 0; index < 1_000; index++) diagnostics.record(`p${index}`, shared, 0)
    for (let index = 0; index < 1_000; index++) assert.ok(isKnown(`p${index}`))
  })

  it('forgets those first that were looked at longest ago, refusals when their last pod goes', () => {
    for (let index = 0; index < 100; index++) diagnostics.record(`p${index}`, refusedPlacement(refused, []), 0)
    const known = Array.from({ length: 100 }, (_, index) => isKnown(`p${index}`))
    const first = known.indexOf(true)
    assert.ok(first >= 50 && first < 60, `from ${first} on`)
    assert.ok(known.slice(first).every((is) => is))
    for (let index = 0; index < 99; index++) diagnostics.forget(`p${index}`)
    for (let index = 0; index < 40; index++) diagnostics.record(`q${index}`, refusedPlacement(refused, []), 0)
    assert.ok(isKnown('p99'), 'what was forgotten makes room')
  })

  it('remembers thousands of which nothing is written down', () => {
    for (let index = 0; index < 10_000; index++)
      diagnostics.record(
        `p${index}`,
        fitting('n1', () => one('n1')),
        0,
      )
    assert.ok(isKnown('p0', 'n1'))
    diagnostics.record(
      'dear',
      fitting('n1', () => one('n1'), true),
      0,
    )
    for (let index = 0; index < 48; index++)
      diagnostics.record(
        `dear${index}`,
        fitting('n1', () => one('n1'), true),
        0,
      )
    assert.equal(isKnown('p0', 'n1'), false)
  })
})
