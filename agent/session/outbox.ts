/**
 * News for the control plane: the latest observation of each pod that changed, the node's status if it changed, and
 * events. Kept while there is no session; everything that comes in one turn of the program leaves in one message.
 */
import type { Event, NodeMessage, NodeStatus, ObservedPod } from '../../proto/gen/types.ts'
import type { StatusSink } from './contract.ts'

/** Events kept while they cannot be sent; the oldest go first. */
const EVENT_LIMIT = 1000
/** Events in one message: each is at most some kilobytes. */
const EVENTS_PER_MESSAGE = 100

export class Outbox implements StatusSink {
  readonly #pods = new Map<string, ObservedPod>()
  #node: NodeStatus | undefined
  #applied: number | undefined
  #events: Event[] = []
  #dropped = 0
  #send: ((message: NodeMessage) => void) | undefined
  #scheduled = false

  /** Events dropped since the start because there were too many. */
  get dropped(): number {
    return this.#dropped
  }

  podStatusChanged(pod: ObservedPod): void {
    this.#pods.set(pod.uid, pod)
    this.#schedule()
  }

  event(event: Event): void {
    this.#events.push(event)
    if (this.#events.length > EVENT_LIMIT) {
      this.#events.shift()
      this.#dropped++
    }
    this.#schedule()
  }

  /**
   * The node's status, in place of one that waits; undefined: nothing about it waits any more, because a hello is about
   * to tell all.
   */
  nodeStatusChanged(status: NodeStatus | undefined): void {
    this.#node = status
    if (status !== undefined) this.#schedule()
  }

  /**
   * The node follows this revision of the network; of several the last is told. Without a session it is told by the
   * next one's first update.
   */
  networkApplied(revision: number): void {
    this.#applied = revision
    this.#schedule()
  }

  /**
   * A session began: every pod is told, whatever was told before, and then what waits. Returns the call for the
   * session's end.
   */
  open(send: (message: NodeMessage) => void, all: readonly ObservedPod[]): () => void {
    this.#pods.clear()
    this.#applied = undefined
    this.#send = send
    send({ message: { case: 'statuses', value: { pods: [...all] } } })
    this.#schedule()
    return () => {
      if (this.#send === send) this.#send = undefined
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#send === undefined) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#send === undefined) return
    if (this.#pods.size > 0) {
      const pods = [...this.#pods.values()]
      this.#pods.clear()
      this.#send({ message: { case: 'statuses', value: { pods } } })
    }
    if (this.#node !== undefined) {
      this.#send({ message: { case: 'node', value: { status: this.#node } } })
      this.#node = undefined
    }
    if (this.#applied !== undefined) {
      this.#send({ message: { case: 'networkApplied', value: { revision: this.#applied } } })
      this.#applied = undefined
    }
    const events = this.#events
    this.#events = []
    for (const batch of batches(events)) this.#send({ message: { case: 'events', value: { events: batch } } })
  }
}

function* batches(events: readonly Event[]): Generator<Event[]> {
  for (let first = 0; first < events.length; first += EVENTS_PER_MESSAGE)
    yield events.slice(first, first + EVENTS_PER_MESSAGE)
}
