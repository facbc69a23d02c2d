/**
 * A step of a pod's plan, carried out. It reads the pod and acts on runtime, images, network and volumes; what it did
 * it answers as a value. The pod's machine alone puts that on record, decides when a step comes again, and plans anew.
 */
import type { Change } from '../plan/changes.ts'
import type { PodState } from '../plan/pod-state.ts'
import type { PodDependencies } from '../dependencies.ts'

export type StepResult =
  /** It did what it was to do, and this has changed. */
  | { readonly result: 'done'; readonly changes: readonly Change[]; readonly write: RecordWrite }
  /** There was nothing to do, or there is not any more. */
  | { readonly result: 'noop' }
  /** It could not; the changes are what it did before, or what it leaves behind. */
  | ({ readonly result: 'retry'; readonly changes?: readonly Change[] } & Retry)
  /** The pod cannot be carried on with: the node gives it up. */
  | { readonly result: 'fatal'; readonly reason: string; readonly message: string }

/**
 * When the record is written after a step. `awaited`: before the next plan is made. `background`: at once, and nobody
 * waits for the disk, since another start of the agent would learn the same from the runtime. `deferred`: with what is
 * written next, since nothing of it outlives the agent.
 */
export type RecordWrite = 'awaited' | 'background' | 'deferred'

export interface Retry {
  /** As Kubernetes names it, e.g. ErrImagePull, CreateContainerConfigError, FailedMount. */
  readonly reason: string
  readonly message: string
  /** What went wrong, for the log and for an event. */
  readonly error: unknown
  /** Milliseconds until it is tried again. Infinity: only a change of what the pod refers to helps. */
  readonly delay: number
}

export const NOOP: StepResult = { result: 'noop' }

export function done(...changes: readonly Change[]): StepResult {
  return { result: 'done', changes, write: changes.length === 0 ? 'deferred' : 'awaited' }
}

/** What a step sees of its pod and may tell it. */
export interface StepContext {
  readonly deps: PodDependencies
  readonly uid: string
  /** The pod as it is now: asked again after an await, it may be another. */
  readonly state: PodState
  /** The agent ends: what is cut short is carried on with by the next one. */
  readonly agentStops: boolean
  /** How often in a row this step has failed before. */
  readonly failures: number
  /**
   * Puts on record what is about to be done, before it is. Rejects when the record cannot be written; `undo` has then
   * taken the changes back.
   */
  intend(changes: readonly Change[], undo: readonly Change[]): Promise<void>
  /** Tells people; never waits and never fails. */
  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void
}
