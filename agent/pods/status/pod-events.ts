/** Events about pods and what the node serves, as Kubernetes names them. */
import { isEphemeral } from '../../../proto/objects/containers.ts'
import { apiVersionOf, resourceOf } from '../../../proto/schema/schema.ts'
import { formatMicroTime, formatTime } from '../../../proto/base/time.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { randomSuffix, type Random } from '../../../proto/base/random.ts'
import type { Event, Kind, ObjectMeta, Pod } from '../../../proto/gen/types.ts'
import { isInit } from '../plan/pod-state.ts'

export interface PodEvents {
  /** Never waits and never fails. */
  record(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void
}

/** What an event is about. */
export interface EventSubject {
  readonly kind: Kind
  readonly metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'uid' | 'resourceVersion'>
}

const COMPONENT = 'gantry-agent'
/** An event like one told within this many milliseconds is that one again. */
const REPEAT_WINDOW = 600_000
/** Kinds of event that are remembered to be counted. */
const MAX_REMEMBERED_EVENTS = 1024

/** Makes each an Event object, the same one counted up if it repeats, and hands it on. */
export class EventRecorder implements PodEvents {
  readonly #nodeName: string
  readonly #clock: Clock
  readonly #random: Random
  readonly #sink: (event: Event) => void
  /** What repeats would repeat, least recently told first. */
  readonly #recent = new Map<string, { readonly event: Event; readonly told: number }>()

  constructor(nodeName: string, clock: Clock, random: Random, sink: (event: Event) => void) {
    this.#nodeName = nodeName
    this.#clock = clock
    this.#random = random
    this.#sink = sink
  }

  record(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    const fieldPath =
      container === undefined
        ? undefined
        : `spec.${isInit(pod, container) ? 'initContainers' : isEphemeral(pod, container) ? 'ephemeralContainers' : 'containers'}{${container}}`
    this.recordOf({ kind: 'Pod', metadata: pod.metadata }, type, reason, message, fieldPath)
  }

  /** Of any object. `fieldPath`: the part of it that is meant. */
  recordOf(about: EventSubject, type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void {
    const now = this.#clock.now()
    const key = JSON.stringify([about.metadata.uid, fieldPath, type, reason, message])
    const known = this.#recent.get(key)
    const event =
      known !== undefined && now - known.told < REPEAT_WINDOW
        ? { ...known.event, count: (known.event.count ?? 1) + 1, lastTimestamp: formatTime(now) }
        : this.#create(about, { type, reason, message }, fieldPath, now)
    this.#recent.delete(key)
    this.#recent.set(key, { event, told: now })
    if (this.#recent.size > MAX_REMEMBERED_EVENTS) this.#recent.delete(this.#recent.keys().next().value!)
    this.#sink(event)
  }

  #create(
    { kind, metadata }: EventSubject,
    said: Pick<Event, 'type' | 'reason' | 'message'>,
    fieldPath: string | undefined,
    now: number,
  ): Event {
    const { name, namespace, uid, resourceVersion } = metadata
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${randomSuffix(this.#random, 12)}`, namespace, uid: '', resourceVersion: '' },
      involvedObject: {
        apiVersion: apiVersionOf(resourceOf(kind)),
        kind,
        namespace,
        name,
        uid,
        resourceVersion,
        fieldPath,
      },
      ...said,
      source: { component: COMPONENT, host: this.#nodeName },
      firstTimestamp: formatTime(now),
      lastTimestamp: formatTime(now),
      count: 1,
      eventTime: formatMicroTime(now),
      reportingComponent: COMPONENT,
      reportingInstance: this.#nodeName,
    }
  }
}
