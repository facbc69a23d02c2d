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

/** Makes each an Event object and hands it on. */
export class EventRecorder implements PodEvents {
  readonly #nodeName: string
  readonly #clock: Clock
  readonly #random: Random
  readonly #sink: (event: Event) => void

  constructor(nodeName: string, clock: Clock, random: Random, sink: (event: Event) => void) {
    this.#nodeName = nodeName
    this.#clock = clock
    this.#random = random
    this.#sink = sink
  }

  record(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    const { name, namespace, uid, resourceVersion } = pod.metadata
    const now = this.#clock.now()
    this.#sink({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${randomSuffix(this.#random, 12)}`, namespace, uid: '', resourceVersion: '' },
      involvedObject: {
        apiVersion: 'v1', kind: 'Pod', namespace, name, uid, resourceVersion,
        fieldPath: container === undefined ? undefined : `spec.${isInit(pod, container) ? 'initContainers' : 'containers'}{${container}}`,
      },
      type,
      reason,
      message,
      source: { component: COMPONENT, host: this.#nodeName },
      firstTimestamp: formatTime(now),
      lastTimestamp: formatTime(now),
      count: 1,
      eventTime: formatMicroTime(now),
      reportingComponent: COMPONENT,
      reportingInstance: this.#nodeName,
    })
  }
}
