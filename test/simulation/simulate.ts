/**
 * Simulations from the command line:
 *
 *   npm run simulate -- --seed 7 --steps 20          one seed; `--trace` prints all that happens
 *   npm run simulate -- --seed 1 --seeds 1000        a thousand of them; those that fail are told and shrunk
 *   npm run simulate -- --scenario FILE              a scenario as a failure prints it
 *
 * Ends with 1 if a simulation failed.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { scenarioOf, type Scenario } from './actions.ts'
import { shrink } from './shrink.ts'
import { simulate, type Outcome } from './simulation.ts'
import { Trace } from './world/trace.ts'

const DEFAULT_STEPS = 20

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    steps: { type: 'string', default: String(DEFAULT_STEPS) },
    scenario: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: true },
    each: { type: 'boolean', default: false },
  },
  allowNegative: true,
})

async function main(): Promise<void> {
  if (values.scenario !== undefined) {
    const outcome = await simulate(
      JSON.parse(readFileSync(values.scenario, 'utf8')) as Scenario,
      new Trace(values.trace),
    )
    tell(outcome)
    return void (process.exitCode = outcome.violation === undefined ? 0 : 1)
  }
  const [first, count, steps] = [values.seed, values.seeds, values.steps].map(Number) as [number, number, number]
  const sum = { failed: 0, events: 0, millis: 0 }
  const done = new Map<string, number>()
  const begun = performance.now()
  for (let seed = first; seed < first + count; seed++) {
    const outcome = await simulate(scenarioOf(seed, steps), new Trace(values.trace))
    sum.events += outcome.events
    sum.millis += outcome.millis
    for (const [what, times] of Object.entries(outcome.done)) done.set(what, (done.get(what) ?? 0) + times)
    if (count === 1 || values.each || outcome.violation !== undefined) tell(outcome)
    if (outcome.violation === undefined) continue
    sum.failed++
    if (values.shrink) await tellShrunk(outcome)
  }
  const seconds = (performance.now() - begun) / 1000
  print(
    `${count} seeds, ${sum.failed} failed, ${sum.events} events, ${Math.round(sum.millis / 1000)} simulated seconds, ` +
      `${(count / seconds).toFixed(2)} seeds/s`,
  )
  print(
    [...done]
      .sort()
      .map(([what, times]) => `${what} ${times}`)
      .join(', '),
  )
  process.exitCode = sum.failed > 0 ? 1 : 0
}

function tell({ violation, hash, scenario, lines, events, millis }: Outcome): void {
  if (values.trace) print(lines.join('\n'))
  const { seed, controllers, nodes, actions } = scenario
  print(
    `seed ${seed} steps ${actions.length}: ${controllers} controllers, ${nodes} nodes, ${events} events, ` +
      `${Math.round(millis / 1000)} s, hash ${hash}`,
  )
  if (violation === undefined) return
  print(`  does not hold: ${violation.invariant}\n  ${violation.what}\n  at ${violation.at.toFixed(1)} ms`)
}

async function tellShrunk({ scenario, violation }: Outcome): Promise<void> {
  const shortest = await shrink(
    scenario,
    async (smaller) => (await simulate(smaller)).violation?.invariant === violation!.invariant,
  )
  print(`  shrunk to ${shortest.actions.length} actions:\n  ${JSON.stringify(shortest)}`)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

await main()
// What was killed in the simulation waits for ever.
process.exit()
