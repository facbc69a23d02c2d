/** Short simulations of many seeds, and what is expected of simulations themselves. */
import assert from 'node:assert/strict'
import { scenarioOf, type Scenario } from './actions.ts'
import { shrink } from './shrink.ts'
import { simulate } from './simulation.ts'
import { Trace } from './world/trace.ts'

/** Seeds that are run, and actions of each. */
const SEEDS = 100
const STEPS = 12

async function passes(scenario: Scenario): Promise<void> {
  const { violation } = await simulate(scenario)
  assert.equal(violation, undefined, `npm run simulate -- --seed ${scenario.seed} --steps ${scenario.actions.length}`)
}

describe('simulation of whole clusters', function () {
  this.timeout(60_000)

  for (let first = 1; first <= SEEDS; first += 10)
    it(`seeds ${first} to ${first + 9} keep every invariant and converge`, async () => {
      for (let seed = first; seed < first + 10; seed++) await passes(scenarioOf(seed, STEPS))
    })

  it('of one seed are the same to the last event, and of another seed are others', async () => {
    const run = async (seed: number): Promise<readonly string[]> => {
      const trace = new Trace(true)
      await simulate(scenarioOf(seed, STEPS), trace)
      return [trace.hash, ...trace.lines]
    }
    const [once, again, other] = [await run(5), await run(5), await run(6)]
    assert.deepEqual(again, once)
    assert.notEqual(other[0], once[0])
  })
})

describe('shrinking', () => {
  it('leaves what a failure needs, in its order', async () => {
    const scenario = scenarioOf(3, 30)
    const needed = [scenario.actions[4]!, scenario.actions[21]!]
    let tries = 0
    const shortest = await shrink(scenario, ({ actions }) => {
      tries++
      return Promise.resolve(needed.every((action) => actions.includes(action)))
    })
    assert.deepEqual(shortest.actions, needed)
    assert.deepEqual([shortest.controllers, shortest.nodes], [1, 1])
    assert.ok(tries < 100, `${tries} tries`)
  })

  it('ends after so many tries', async () => {
    const scenario = scenarioOf(3, 30)
    let tries = 0
    await shrink(scenario, () => Promise.resolve(tries++ < 0), 10)
    assert.equal(tries, 10)
  })
})
