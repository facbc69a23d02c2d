/**
 * A scenario from beginning to end: the rig is made, the steps are run, logs are kept after a failure, and everything
 * is as it was before.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { Actions } from './actions.ts'
import { failureOf, inOrder, skippedOf, type ScenarioResult } from './result.ts'
import { Runner, type StepListener } from './runner.ts'
import type { Scenario } from './scenario.ts'
import type { ScenarioRig } from './scenario-rig.ts'
import { untilAborted } from './signals.ts'

export interface PerformOptions {
  /** Makes the rig that the scenario asks for, or opens the one that is there. */
  readonly rig: () => Promise<ScenarioRig>
  /** The rig was made for this: it goes at the end. One that was there stays, without what the scenario applied. */
  readonly own: boolean
  /** Leaves the rig and what is on it, faults included. */
  readonly keep: boolean
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly listener: PerformListener
  /** The file that the logs go to after a failure. */
  readonly archive: (scenario: Scenario) => string
}

export interface PerformListener extends StepListener {
  /** The rig is up. */
  ready(rig: ScenarioRig, millis: number): void
}

/** Milliseconds for what the scenario applied to go. */
const REMOVAL_MS = 30_000

/** Never rejects: what goes wrong is in the result. */
export async function perform(scenario: Scenario, options: PerformOptions): Promise<ScenarioResult> {
  const { clock, signal, listener, own, keep } = options
  const began = clock.monotonic()
  const head = { name: scenario.name, file: scenario.file, time: formatTime(clock.now()) }
  const problems: string[] = []
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (thrown) {
      problems.push(`${what}: ${failureOf(thrown).message}`)
    }
  }
  let rig: ScenarioRig
  try {
    rig = await options.rig()
  } catch (thrown) {
    const interrupted = signal.aborted
    if (!interrupted) problems.push(failureOf(thrown).message)
    return {
      ...head,
      rig: '',
      status: interrupted ? 'interrupted' : 'failed',
      millis: clock.monotonic() - began,
      steps: skippedOf(scenario, []),
      problems,
    }
  }
  const upMillis = clock.monotonic() - began
  listener.ready(rig, upMillis)
  const actions = new Actions({ rig, clock, namespace: scenario.namespace, signal })
  const runner = new Runner({ actions, clock, listener })
  let passed = false
  let archive: string | undefined
  try {
    for (const image of scenario.images) await untilAborted(rig.load(image), signal)
    await actions.makeNamespace(signal)
    await runner.run(scenario, signal)
    passed = true
  } catch (thrown) {
    if (!signal.aborted && runner.results.every(({ status }) => status !== 'failed'))
      problems.push(failureOf(thrown).message)
  }
  if (!passed && !signal.aborted)
    await attempt('the logs could not be kept', async () => void (archive = await rig.logs(options.archive(scenario))))
  if (!keep) {
    problems.push(...(await actions.healAll()))
    await attempt('the rig could not be removed', () => leave(rig, own, actions, clock))
  } else rig.close()
  const status = signal.aborted ? 'interrupted' : passed && problems.length === 0 ? 'passed' : 'failed'
  return {
    ...head,
    rig: rig.name,
    status,
    millis: clock.monotonic() - began,
    ...(own ? { upMillis } : {}),
    steps: inOrder([...runner.results, ...skippedOf(scenario, runner.results)]),
    problems,
    ...(archive === undefined ? {} : { archive }),
  }
}

/** Own rigs go whole; others lose what was applied to them. */
async function leave(rig: ScenarioRig, own: boolean, actions: Actions, clock: Clock): Promise<void> {
  if (own) return rig.down()
  const late = new AbortController()
  const timer = clock.after(REMOVAL_MS, () =>
    late.abort(new GantryError('DeadlineExceeded', 'what the scenario applied was not gone in time')),
  )
  try {
    await actions.removeApplied(late.signal)
  } finally {
    timer.cancel()
    rig.close()
  }
}
