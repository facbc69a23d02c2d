/**
 * Looks at conditions over time: objects as the control plane tells of their changes, everything else again and again.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { elapsed, type Clock } from '../../../proto/base/clock.ts'
import { fillProbe, fillTests } from './filling.ts'
import { evaluateCondition, merge, type ConditionResult } from './condition-evaluation.ts'
import { viewObjects } from './object-view.ts'
import { ONCE } from './http-prober.ts'
import { essenceOf, runProbe } from './probe.ts'
import type { Condition, Probe } from './scenario.ts'
import type { ScenarioRig } from './scenario-rig.ts'
import { linked } from './signals.ts'
import type { Remembered, Variables } from './variables.ts'

/** Milliseconds that one of many looks may take. */
const LOOK_MS = 10_000

/** Milliseconds that a machine goes on asking by http, where nothing is to be missed. */
const BURST_MS = 1_000

interface WatchOptions {
  readonly round: number
  readonly dense: boolean
  readonly signal: AbortSignal
}

export interface ObserverOptions {
  readonly rig: ScenarioRig
  readonly clock: Clock
  readonly namespace: string
  readonly variables: Variables
}

/** What was remembered, with where it was looked at: what a name meant then is not looked up again. */
interface Before {
  readonly probe: Probe
  readonly value: Remembered
}

export class Observer {
  readonly #options: ObserverOptions
  readonly #before = new Map<string, Before>()

  constructor(options: ObserverOptions) {
    this.#options = options
  }

  /** Looks once and keeps what is seen under a name. FailedPrecondition if there is nothing to see. */
  async remember(name: string, unfilled: Probe, round: number, within: number, signal: AbortSignal): Promise<void> {
    const { rig, namespace, variables } = this.#options
    const probe = await fillProbe(unfilled, variables, round)
    const sight = await runProbe(rig, probe, { namespace, within, burst: ONCE, signal })
    const value = essenceOf(sight, probe)
    if (value === undefined)
      throw new GantryError(
        'FailedPrecondition',
        sight.is === 'nothing'
          ? sight.error.message
          : sight.is === 'output'
            ? `it ended with exit code ${sight.code}: ${sight.stderr}`
            : 'there was no answer',
      )
    this.#before.set(name, { probe, value })
    variables.remember(name, value)
  }

  /** One look at each. */
  async once(
    conditions: readonly Condition[],
    round: number,
    within: number,
    signal: AbortSignal,
  ): Promise<ConditionResult> {
    const { rig, namespace } = this.#options
    return merge(
      await Promise.all(
        conditions.map(async (unfilled) => {
          const { condition, probe, before } = await this.#fill(unfilled, round)
          return evaluateCondition(
            condition,
            await runProbe(rig, probe, { namespace, within, burst: ONCE, signal }),
            before,
          )
        }),
      ),
    )
  }

  /**
   * Calls with a verdict about all of them at once, whenever one is looked at anew, until the signal is aborted; then
   * resolves. Rejects with what does not pass by itself. `dense`: nothing in between is to be missed, rather than the
   * first good moment to be told of at once.
   */
  async watch(
    conditions: readonly Condition[],
    { round, dense, signal }: WatchOptions,
    saw: (verdict: ConditionResult) => void,
  ): Promise<void> {
    const latest: (ConditionResult | undefined)[] = conditions.map(() => undefined)
    const group = new AbortController()
    const inner = linked(signal, group.signal)
    const ends = await Promise.allSettled(
      conditions.map(async (condition, index) => {
        try {
          await this.#watchOne(condition, { round, dense, signal: inner }, (verdict) => {
            latest[index] = verdict
            const known = latest.filter((one) => one !== undefined)
            if (known.length === conditions.length) saw(merge(known))
          })
        } catch (thrown) {
          group.abort(thrown) // the others end, too
          throw thrown
        }
      }),
    )
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  async #watchOne(
    unfilled: Condition,
    { round, dense, signal }: WatchOptions,
    saw: (verdict: ConditionResult) => void,
  ): Promise<void> {
    const { rig, clock, namespace } = this.#options
    const { condition, probe, before } = await this.#fill(unfilled, round)
    if (probe.is === 'objects') {
      const trouble = (error: GantryError): void =>
        saw(evaluateCondition(condition, { is: 'nothing', of: probe.is, error }, before))
      for await (const objects of viewObjects(rig.client, clock, probe.objects, signal, trouble))
        saw(evaluateCondition(condition, { is: 'objects', objects }, before))
      return
    }
    while (!signal.aborted) {
      try {
        saw(
          evaluateCondition(
            condition,
            await runProbe(rig, probe, {
              namespace,
              within: LOOK_MS,
              burst: dense ? { span: BURST_MS, every: condition.every } : ONCE,
              signal,
            }),
            before,
          ),
        )
      } catch (thrown) {
        if (signal.aborted) return
        throw thrown
      }
      await elapsed(clock, condition.every, signal)
    }
  }

  async #fill(
    condition: Condition,
    round: number,
  ): Promise<{ condition: Condition; probe: Probe; before: Before | undefined }> {
    const { variables } = this.#options
    if (condition.is === 'unchanged') {
      const before = this.#before.get(condition.name)
      if (before === undefined)
        throw new GantryError('FailedPrecondition', `nothing is remembered as "${condition.name}" yet`)
      return { condition, probe: before.probe, before }
    }
    const probe = await fillProbe(condition.probe, variables, round)
    const filled =
      condition.is === 'objects'
        ? {
            ...condition,
            probe: probe as typeof condition.probe,
            expect: { ...condition.expect, tests: await fillTests(condition.expect.tests, variables, round) },
          }
        : { ...condition, probe: probe as never, tests: await fillTests(condition.tests, variables, round) }
    return { condition: filled, probe, before: undefined }
  }
}
