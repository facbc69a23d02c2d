/** What came of a scenario, as data: what every report is made from. */
import type { Position } from '../../../proto/codec/yaml.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Scenario, Step } from './scenario.ts'

export type StepStatus =
  | 'passed'
  /** It did not come true, was violated, or could not be done. */
  | 'failed'
  /** Another step failed while it was under way. */
  | 'stopped'
  /** It was never begun. */
  | 'skipped'

export interface StepResult {
  readonly number: string
  /** In repeated steps, which time: "2", "2.1" for a repetition in a repetition. */
  readonly round: string
  readonly label: string
  readonly position: Position
  readonly status: StepStatus
  /** Milliseconds since the scenario's first step; 0 for one that was skipped. */
  readonly began: number
  readonly millis: number
  readonly failure?: StepFailure
  /** Worth telling although it passed: "by the kernel (nftables)", "held 12.3s, 31 looks". */
  readonly note?: string
}

export interface StepFailure {
  /** In one sentence. */
  readonly message: string
  readonly expected?: string
  /** As it was last, or when it was violated. */
  readonly seen?: string
  /** Milliseconds since the first step. */
  readonly at?: number
}

export type ScenarioStatus = 'passed' | 'failed' | 'interrupted'

export interface ScenarioResult {
  readonly name: string
  readonly file: string
  readonly rig: string
  readonly status: ScenarioStatus
  /** RFC 3339. */
  readonly time: string
  /** Milliseconds: of everything; of making the rig, undefined if it was there. */
  readonly millis: number
  readonly upMillis?: number
  readonly steps: readonly StepResult[]
  /** What went wrong outside steps: the rig did not come up, a fault could not be healed. */
  readonly problems: readonly string[]
  /** Where everything that the rig logged is, after a failure. */
  readonly archive?: string
}

/** A step did not come true. Thrown by what carries steps out. */
export class StepFailedError extends GantryError {
  readonly failure: StepFailure

  constructor(failure: StepFailure) {
    super('FailedPrecondition', failure.message)
    this.failure = failure
  }
}

/** What to tell of whatever a step threw. */
export function failureOf(thrown: unknown): StepFailure {
  if (thrown instanceof StepFailedError) return thrown.failure
  const { message, details } = GantryError.from(thrown)
  const remedy = details.map((detail) => detail.remedy).find((text) => text !== '' && !message.includes(text))
  return { message: remedy === undefined ? message : `${message} (${remedy})` }
}

/** Results of steps that were not begun, for those that have none. */
export function skippedOf({ steps }: Pick<Scenario, 'steps'>, results: readonly StepResult[]): StepResult[] {
  const begun = new Set(results.map(({ number }) => number))
  return allSteps(steps)
    .filter(({ number }) => !begun.has(number))
    .map(({ number, label, position }) => ({
      number,
      round: '',
      label,
      position,
      status: 'skipped',
      began: 0,
      millis: 0,
    }))
}

/** Every step, those in others after them. */
export function allSteps(steps: readonly Step[]): Step[] {
  return steps.flatMap((step) => [step, ...allSteps(innerSteps(step))])
}

function innerSteps({ action }: Step): readonly Step[] {
  switch (action.is) {
    case 'parallel':
      return action.branches.flat()
    case 'repeat':
      return action.steps
    case 'always':
    case 'fault':
      return action.during ?? []
    case 'apply':
    case 'delete':
    case 'patch':
    case 'scale':
    case 'rollout':
    case 'until':
    case 'check':
    case 'remember':
    case 'run':
    case 'pause':
    case 'heal':
    case 'start':
      return []
  }
}

/** In the order of the file, rounds in theirs. */
export function inOrder(results: readonly StepResult[]): StepResult[] {
  const key = ({ number, round }: StepResult): number[] =>
    [...number.split('.'), ...(round === '' ? [] : round.split('.'))].map(Number)
  const place = new Map(
    results.map((result) => [result, { steps: result.number.split('.').map(Number), rounds: key(result) }]),
  )
  return [...results].sort(
    (a, b) => compare(place.get(a)!.steps, place.get(b)!.steps) || compare(place.get(a)!.rounds, place.get(b)!.rounds),
  )
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const difference = (a[at] ?? -1) - (b[at] ?? -1)
    if (difference !== 0) return difference
  }
  return 0
}
