/**
 * Simulations from the command line:
 *
 *   npm run simulate -- --seed 7 --steps 20          one seed; `--trace` prints all that happens
 *   npm run simulate -- --seed 1 --seeds 1000        a thousand of them; those that fail are told and shrunk
 *   npm run simulate -- --seeds 1000 --jobs 2        in two processes at once
 *   npm run simulate -- --scenario FILE              a scenario as a failure prints it
 *
 * Ends with 1 if a simulation failed.
 */
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { scenarioOf, type Scenario } from './actions.ts'
import { shrink } from './shrink.ts'
import { simulate, type Outcome } from './simulation.ts'
import { Trace } from './world/trace.ts'

const DEFAULT_STEPS = 20
/** Seeds that one process runs: some megabytes of each stay, since what was killed waits for ever. */
const SEEDS_PER_PROCESS = 250

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    steps: { type: 'string', default: String(DEFAULT_STEPS) },
    scenario: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: true },
    each: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
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
  const [first, count, jobs] = [wholeNumber('seed'), wholeNumber('seeds'), wholeNumber('jobs')]
  if (process.send !== undefined) return void process.send(await runSeeds(first, count))
  const begun = performance.now()
  const sum =
    count > SEEDS_PER_PROCESS || jobs > 1 ? await runProcesses(first, count, jobs) : await runSeeds(first, count)
  const seconds = (performance.now() - begun) / 1000
  print(
    `${count} seeds, ${sum.failed} failed, ${sum.events} events, ${Math.round(sum.millis / 1000)} simulated seconds, ` +
      `${(count / seconds).toFixed(2)} seeds/s`,
  )
  print(
    Object.entries(sum.done)
      .sort()
      .map(([what, times]) => `${what} ${times}`)
      .join(', '),
  )
  process.exitCode = sum.failed > 0 ? 1 : 0
}

function wholeNumber(name: 'seed' | 'seeds' | 'steps' | 'jobs'): number {
  const text = values[name]
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  process.stderr.write(`--${name}: "${text}" is not a whole number above 0\n`)
  process.exit(2)
}

interface Sum {
  failed: number
  events: number
  /** Simulated milliseconds. */
  millis: number
  /** How often each thing was done to a cluster. */
  readonly done: Record<string, number>
}

function add(sum: Sum, { failed, events, millis, done }: Readonly<Sum>): void {
  sum.failed += failed
  sum.events += events
  sum.millis += millis
  for (const [what, times] of Object.entries(done)) sum.done[what] = (sum.done[what] ?? 0) + times
}

async function runSeeds(first: number, count: number): Promise<Sum> {
  const sum: Sum = { failed: 0, events: 0, millis: 0, done: {} }
  const steps = wholeNumber('steps')
  for (let seed = first; seed < first + count; seed++) {
    const outcome = await simulate(scenarioOf(seed, steps), new Trace(values.trace))
    add(sum, { ...outcome, failed: outcome.violation === undefined ? 0 : 1 })
    if (values.seeds === '1' || values.each || outcome.violation !== undefined) tell(outcome)
    if (outcome.violation !== undefined && values.shrink) await tellShrunk(outcome)
  }
  return sum
}

/** In so many processes at once, one after the other until all seeds have run. */
async function runProcesses(first: number, count: number, jobs: number): Promise<Sum> {
  const sum: Sum = { failed: 0, events: 0, millis: 0, done: {} }
  const size = Math.min(SEEDS_PER_PROCESS, Math.ceil(count / jobs))
  let next = first
  const job = async (): Promise<void> => {
    while (next < first + count) {
      const [seed, seeds] = [next, Math.min(size, first + count - next)]
      next += seeds
      add(sum, await runProcess(seed, seeds))
    }
  }
  await Promise.all(Array.from({ length: jobs }, job))
  return sum
}

/** Rejects if the process ends without telling its sum. */
function runProcess(seed: number, seeds: number): Promise<Sum> {
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, [...process.argv.slice(2), `--seed=${seed}`, `--seeds=${seeds}`])
    child.once('message', (sum: Sum) => resolve(sum))
    child.once('error', reject)
    child.once('close', (code, signal) =>
      reject(new Error(`the process of the seeds from ${seed} on ended with ${code ?? signal}`)),
    )
  })
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
