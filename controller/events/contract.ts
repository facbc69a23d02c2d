/**
 * The news: events, which are kept for a while and told to who follows them, and notices that objects changed. Never
 * truth: without it everything else goes on, and nothing is decided by it. Implementations: nats-news.ts for clusters;
 * tests and simulation have their own.
 */
import type { Event } from '../../proto/gen/types.ts'
import type { EventSink } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'

/** Which events; an absent or empty part means any. */
export interface EventQuery {
  readonly namespace?: string
  /** Kind and name of the object concerned. */
  readonly kind?: string
  readonly name?: string
  /** Milliseconds since 1970: events last seen then or later. */
  readonly since?: number
  readonly type?: string
}

/** Takes events. Nobody waits for it, and it fails nobody: what cannot be told is kept for a while, then dropped. */
export interface EventPublisher extends EventSink {
  /** Takes an event that is complete already: what a node reports of its pods, what a client writes. */
  publish(event: Event): void
}

/** Reads events. An event's place in the log is its resourceVersion. */
export interface EventLog {
  /**
   * The events kept, each once in its latest state, in the order they were last seen, and the place in the log that
   * this shows: `follow` goes on from there. Unavailable.
   */
  list(query: EventQuery, signal: AbortSignal): Promise<{ readonly events: Event[]; readonly after: number }>
  /**
   * The events kept, then with `follow` every event that comes, until the signal is aborted. Once begun, a loss of the
   * log only delays. Unavailable if it is away at the start.
   */
  read(query: EventQuery, follow: boolean, signal: AbortSignal): AsyncIterable<Event>
  /**
   * Every event behind a place in the log, as it comes, and its end, if it is deleted (isDeletion). Expired for a place
   * that the log has not reached, or does not hold any more: list again.
   */
  follow(query: EventQuery, after: number, signal: AbortSignal): AsyncIterable<Event>
}

export interface NamedEvent {
  /** Undefined if nothing is kept under the name, or it was deleted. */
  readonly event: Event | undefined
  /** What a write that means this state names; 0 if nothing was ever kept. */
  readonly revision: number
}

/**
 * Events that clients write by their names: every controller finds there at once what another has written, and of two
 * that write at the same time one is told that it was late.
 */
export interface NamedEventStore {
  /** Whether it can be written: if not, what clients write waits with what controllers record. */
  readonly available: boolean
  /** Unavailable. */
  find(namespace: string, name: string, signal: AbortSignal): Promise<NamedEvent>
  /**
   * Keeps the event, or its end (isDeletion), under its name and tells it to all who read the log. Resolves with its
   * place in the log; with undefined, and nothing is written, if somebody wrote under that name since `revision`.
   * Unavailable.
   */
  put(event: Event, revision: number, signal: AbortSignal): Promise<number | undefined>
  /** Ends all events in a namespace that goes: who follows is told of each. Unavailable. */
  endNamespace(namespace: string, signal: AbortSignal): Promise<void>
}

/** One controller's way to the news. */
export interface News {
  readonly recorder: EventPublisher
  readonly events: EventLog
  readonly named: NamedEventStore
  /** Tells of the changes that the informer sees until the signal is aborted. Only the leader does. */
  publishChanges(informer: Informer, signal: AbortSignal): Promise<void>
}

/**
 * Whether a message says that its event is deleted: the log keeps what was told of it before, and nobody is shown it
 * any more.
 */
export function isDeletion({ metadata }: Event): boolean {
  return metadata.deletionTimestamp !== undefined
}
