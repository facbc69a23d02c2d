/** Events about pods, as Kubernetes names them. */
import { formatMicroTime, formatTime } from '../../proto/api/time.ts'
import type { Clock } from '../../proto/base/clock.ts'
import { randomSuffix, type Random } from '../../proto/base/random.ts'
import type { Event, Pod } from '../../proto/gen/types.ts'
import { isInit } from './pod-state.ts'

export interface PodEvents {
  /** Never waits and never fails. */
  record(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void
}

const COMPONENT = 'gantry-agent'
/** An event like one told within this many milliseconds is that one again. */
const REPEAT_WINDOW = 600_000
/** Kinds of event that are remembered to be counted. */
const REMEMBERED = 1024

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
    const now = this.#clock.now()
    const key = JSON.stringify([pod.metadata.uid, container, type, reason, message])
    const known = this.#recent.get(key)
    const event = known !== undefined && now - known.told < REPEAT_WINDOW
      ? { ...known.event, count: (known.event.count ?? 1) + 1, lastTimestamp: formatTime(now) }
      : this.#create(pod, { type, reason, message }, container, now)
    this.#recent.delete(key)
    this.#recent.set(key, { event, told: now })
    if (this.#recent.size > REMEMBERED) this.#recent.delete(this.#recent.keys().next().value!)
    this.#sink(event)
  }

  #create(pod: Pod, said: Pick<Event, 'type' | 'reason' | 'message'>, container: string | undefined, now: number): Event {
    const { name, namespace, uid, resourceVersion } = pod.metadata
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${randomSuffix(this.#random, 12)}`, namespace, uid: '', resourceVersion: '' },
      involvedObject: {
        apiVersion: 'v1', kind: 'Pod', namespace, name, uid, resourceVersion,
        fieldPath: container === undefined ? undefined : `spec.${isInit(pod, container) ? 'initContainers' : 'containers'}{${container}}`,
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
