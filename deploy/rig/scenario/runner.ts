/**
 * Runs the steps of a scenario. A list of steps ends with the first that does not come true; what stands around it ends
 * with it. An `always` watches beside the steps after it, and ends them all when it is violated.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { withDeadline } from '../../../proto/base/deadline.ts'
import { Actions, labelsOf, type StepContext } from './actions.ts'
import type { ConditionResult } from './condition-evaluation.ts'
import { failureOf, StepFailedError, type StepFailure, type StepResult, type StepStatus } from './result.ts'
import type { Action, Scenario, Step } from './scenario.ts'
import { formatSeconds } from './seconds.ts'
import { linked } from './signals.ts'

/** Hears of steps as they begin and end. */
export interface StepListener {
  begun(step: Step, round: string): void
  ended(result: StepResult): void
}

/** Milliseconds that a look may take where the step has no end of its own. */
const LOOK_MS = 60_000

/** Where a step stands among repetitions. */
interface RepeatContext extends StepContext {
  readonly rounds: string
}

type Always = Step & { readonly action: Action & { readonly is: 'always' } }

/** An `always` under way. */
interface Watch {
  /**
   * Stops it, after one look more; throws if it was violated, and writes its result. `broken`: what ended the steps
   * that it watched, if something did.
   */
  end(broken: boolean): Promise<void>
}

export class Runner {
  readonly results: StepResult[] = []
  readonly #actions: Actions
  readonly #clock: Clock
  readonly #listener: StepListener
  readonly #began: number
  /** Failures that have a result of their own: the steps around them are merely stopped. */
  readonly #told = new WeakSet<object>()

  constructor({ actions, clock, listener }: { actions: Actions; clock: Clock; listener: StepListener }) {
    this.#actions = actions
    this.#clock = clock
    this.#listener = listener
    this.#began = clock.monotonic()
  }

  /**
   * Resolves when every step has passed; rejects with the first failure, or the signal's reason. Results are in
   * `results` either way.
   */
  async run({ steps }: Pick<Scenario, 'steps'>, signal: AbortSignal): Promise<void> {
    await this.#list(steps, { signal, round: 0, rounds: '' })
  }

  get #now(): number {
    return this.#clock.monotonic() - this.#began
  }

  async #list(steps: readonly Step[], place: RepeatContext): Promise<void> {
    const guard = new AbortController()
    const inner = { ...place, signal: linked(place.signal, guard.signal) }
    const watches: Watch[] = []
    let broken: { thrown: unknown } | undefined
    try {
      for (const step of steps) {
        inner.signal.throwIfAborted()
        if (isAlways(step) && step.action.during === undefined) watches.push(await this.#watch(step, place, guard))
        else await this.#step(step, inner)
      }
    } catch (thrown) {
      broken = { thrown }
    }
    const ended = await Promise.allSettled(watches.map((watch) => watch.end(broken !== undefined)))
    const violated = ended.find((end) => end.status === 'rejected')
    if (violated !== undefined) throw violated.reason
    if (broken !== undefined) throw broken.thrown
  }

  async #step(step: Step, place: RepeatContext): Promise<void> {
    if (isAlways(step)) return this.#guarded(step, place)
    const began = this.#now
    this.#listener.begun(step, place.rounds)
    try {
      const note = await this.#act(step, place)
      this.#tell(step, place, began, 'passed', note === undefined ? {} : { note })
    } catch (thrown) {
      const status = this.#statusOf(thrown, place)
      this.#tell(step, place, began, status, status === 'failed' ? { failure: failureOf(thrown) } : {})
      throw thrown
    }
  }

  #statusOf(thrown: unknown, { signal }: RepeatContext): StepStatus {
    if (signal.aborted || this.#told.has(thrown as object)) return 'stopped'
    if (typeof thrown === 'object' && thrown !== null) this.#told.add(thrown)
    return 'failed'
  }

  #tell(
    step: Step,
    { rounds }: RepeatContext,
    began: number,
    status: StepStatus,
    more: { failure?: StepFailure; note?: string },
  ): void {
    const { number, label, position } = step
    const result: StepResult = {
      number,
      round: rounds,
      label,
      position,
      status,
      began,
      millis: this.#now - began,
      ...more,
    }
    this.results.push(result)
    this.#listener.ended(result)
  }

  async #act({ within, action }: Step, place: RepeatContext): Promise<string | undefined> {
    if (action.is === 'until') {
      await this.#actions.until(action.conditions, within ?? LOOK_MS, place)
      return undefined
    }
    const late = (): string => `not done within ${formatSeconds(within ?? 0)}`
    return withDeadline(this.#clock, within, place.signal, late, async (signal) => {
      const limited = { ...place, signal }
      switch (action.is) {
        case 'parallel':
          return this.#parallel(action.branches, limited)
        case 'repeat':
          return this.#repeat(action.times, action.steps, limited)
        case 'fault':
          return action.during === undefined
            ? this.#actions.carryOut(action, within ?? LOOK_MS, limited)
            : this.#during(action, action.during, limited)
        case 'always':
          throw new Error('an always is watched, not carried out')
        case 'apply':
        case 'check':
        case 'delete':
        case 'heal':
        case 'patch':
        case 'pause':
        case 'remember':
        case 'rollout':
        case 'run':
        case 'scale':
        case 'start':
          return this.#actions.carryOut(action, within ?? LOOK_MS, limited)
      }
    })
  }

  /** All branches to their end; the first that fails stops the others. */
  async #parallel(branches: readonly (readonly Step[])[], place: RepeatContext): Promise<undefined> {
    const group = new AbortController()
    const inner = { ...place, signal: linked(place.signal, group.signal) }
    let first: { thrown: unknown } | undefined
    await Promise.all(
      branches.map(async (steps) => {
        try {
          await this.#list(steps, inner)
        } catch (thrown) {
          first ??= { thrown }
          group.abort(thrown)
        }
      }),
    )
    if (first !== undefined) throw first.thrown
  }

  async #repeat(times: number, steps: readonly Step[], place: RepeatContext): Promise<undefined> {
    for (let round = 1; round <= times; round++)
      await this.#list(steps, {
        ...place,
        round,
        rounds: place.rounds === '' ? String(round) : `${place.rounds}.${round}`,
      })
  }

  /** A fault that lasts as long as the steps in it, whatever becomes of them. */
  async #during(
    action: Action & { is: 'fault' },
    steps: readonly Step[],
    place: RepeatContext,
  ): Promise<string | undefined> {
    const fault = await this.#actions.begin(action, place.round)
    if (fault.record.ended !== undefined)
      throw new StepFailedError({
        message: `${fault.description}: that was over at once, so that nothing can happen during it (with "for" in place of "during" it lasts)`,
      })
    try {
      await this.#list(steps, place)
    } finally {
      await this.#actions.end(fault)
    }
    return fault.note
  }

  async #guarded(step: Always, place: RepeatContext): Promise<void> {
    const guard = new AbortController()
    const watch = await this.#watch(step, place, guard)
    let broken: { thrown: unknown } | undefined
    try {
      await this.#list(step.action.during!, { ...place, signal: linked(place.signal, guard.signal) })
    } catch (thrown) {
      broken = { thrown }
    }
    await watch.end(broken !== undefined)
    if (broken !== undefined) throw broken.thrown
  }

  /** Begins to watch, once it holds; what violates it later aborts `guard`. */
  async #watch(step: Always, place: RepeatContext, guard: AbortController): Promise<Watch> {
    const { conditions } = step.action
    const began = this.#now
    const expected = labelsOf(conditions)
    const stop = new AbortController()
    let looks = 0
    let violation: StepFailedError | undefined
    let begin: () => void
    const begun = new Promise<void>((resolve) => (begin = resolve))
    const violate = (failure: Omit<StepFailure, 'at'>): void => {
      violation ??= new StepFailedError({ ...failure, at: this.#now })
      this.#told.add(violation)
      guard.abort(violation)
      stop.abort(violation)
      begin()
    }
    const saw = (verdict: ConditionResult): void => {
      if (verdict.unknown === true) return
      const first = looks === 0
      looks += verdict.looks ?? 1
      if (!verdict.holds)
        violate({
          message: `${first ? 'it did not hold from the beginning' : `violated ${formatSeconds(this.#now - began)} after it began`}: ${expected}`,
          expected,
          seen: verdict.seen,
        })
      else begin()
    }
    const unseen = (thrown: unknown): void => {
      if (!place.signal.aborted)
        violate({ message: `it could not be looked at: ${failureOf(thrown).message}`, expected })
    }
    const watching = this.#actions.observer
      .watch(conditions, { round: place.round, dense: true, signal: linked(place.signal, stop.signal) }, saw)
      .catch(unseen)
      .finally(() => begin())
    this.#listener.begun(step, place.rounds)
    const end = async (broken: boolean): Promise<void> => {
      if (!broken && violation === undefined)
        await this.#actions.observer.once(conditions, place.round, LOOK_MS, place.signal).then(saw, unseen)
      stop.abort(new GantryError('Cancelled', 'no longer watched'))
      await watching
      if (violation !== undefined) {
        this.#tell(step, place, began, 'failed', { failure: violation.failure })
        throw violation
      }
      this.#tell(step, place, began, broken || place.signal.aborted ? 'stopped' : 'passed', {
        note: `held ${formatSeconds(this.#now - began)}, ${looks} look${looks === 1 ? '' : 's'}`,
      })
    }
    const late = new GantryError(
      'DeadlineExceeded',
      `it could not be looked at within ${formatSeconds(step.within ?? LOOK_MS)}`,
    )
    const timer = this.#clock.after(step.within ?? LOOK_MS, () => {
      if (looks === 0) violate({ message: late.message, expected })
    })
    await begun
    timer.cancel()
    if (violation !== undefined || place.signal.aborted) {
      await end(true)
      throw place.signal.reason
    }
    return { end }
  }
}

function isAlways(step: Step): step is Always {
  return step.action.is === 'always'
}
