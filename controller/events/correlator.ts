/** Makes core/v1 Event objects of what is recorded; what repeats is one event, and counted. */
import type { Clock } from '../../proto/base/clock.ts'
import { randomSuffix, randomUuid, type Random } from '../../proto/base/random.ts'
import { formatTime } from '../../proto/base/time.ts'
import type { Event } from '../../proto/gen/types.ts'
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import type { EventSink } from '../api/contract.ts'

/** Kinds of event that are remembered to be counted. */
const CORRELATOR_CACHE_SIZE = 4_096
/** An event like one seen within this many milliseconds is that one again. */
const REPEAT_WINDOW = 600_000

type EventRecord = Parameters<EventSink['record']>[0]

export class EventCorrelator {
  readonly #clock: Clock
  readonly #random: Random
  /** What repeats would repeat, least recently seen first. */
  readonly #recent = new Map<string, { event: Event; seen: number }>()

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock
    this.#random = random
  }

  /** A new event, or a recent one that has happened once more. */
  take({ regarding, type, reason, message, component }: EventRecord): Event {
    const now = this.#clock.now()
    const {
      kind,
      metadata: { name, namespace, uid },
    } = regarding
    const key = JSON.stringify([kind, namespace, name, uid, type, reason, message, component])
    const known = this.#recent.get(key)
    this.#recent.delete(key)
    const event =
      known !== undefined && now - known.seen < REPEAT_WINDOW
        ? { ...known.event, count: (known.event.count ?? 1) + 1, lastTimestamp: formatTime(now) }
        : this.#create({ regarding, type, reason, message, component }, now)
    this.#recent.set(key, { event, seen: now })
    if (this.#recent.size > CORRELATOR_CACHE_SIZE) this.#forgetOldest()
    return event
  }

  /** An eighth of them at once: to find the oldest in a map takes longer the more have been deleted before it. */
  #forgetOldest(): void {
    let left = CORRELATOR_CACHE_SIZE / 8
    for (const key of this.#recent.keys()) {
      if (left-- === 0) return
      this.#recent.delete(key)
    }
  }

  #create({ regarding, type, reason, message, component }: EventRecord, now: number): Event {
    const { kind, metadata } = regarding
    const apiVersion = apiVersionOf(resourceOf(kind))
    const time = formatTime(now)
    return {
      apiVersion: 'v1',
      kind: 'Event',
      // Events about cluster-scoped objects stand in `default`, where Kubernetes' clients look for them.
      metadata: {
        name: `${metadata.name}.${randomSuffix(this.#random, 12)}`,
        namespace: metadata.namespace === '' ? 'default' : metadata.namespace,
        uid: randomUuid(this.#random),
        resourceVersion: '',
        creationTimestamp: time,
      },
      involvedObject: {
        apiVersion,
        kind,
        namespace: metadata.namespace === '' ? undefined : metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
      },
      type,
      reason,
      message,
      source: { component },
      reportingComponent: component,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    }
  }
}
