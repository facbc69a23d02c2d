/** A pod's status as it changes: worked out after each turn, told when it is another one. */
import type { Timer } from '../../../proto/base/clock.ts'
import type { ObservedPod, TimelineStep } from '../../../proto/gen/types.ts'
import type { PodRecord } from '../../state/contract.ts'
import type { PodDependencies } from '../dependencies.ts'
import type { PodState } from '../plan/pod-state.ts'
import { isOnItsWay, podStatus } from './status.ts'

/** The pod. */
export interface NewsHost {
  readonly deps: Pick<PodDependencies, 'clock' | 'origin' | 'reports'>
  readonly record: PodRecord
  observation(): ObservedPod
  stamp(step: TimelineStep['step']): void
  save(): void
}

/**
 * Milliseconds that news of a pod on its way to running wait for the next ones, which most often are that it runs:
 * telling each step would cost the control plane several writes a pod, just when many start.
 */
const NEWS_ON_THE_WAY = 500

export class StatusNews {
  readonly #host: NewsHost
  /** Until news that may wait are told. */
  #untold: Timer | undefined
  #readySince: string | undefined
  #told = ''

  constructor(host: NewsHost) {
    this.#host = host
  }

  follow(state: PodState): void {
    const { record, deps } = this.#host
    if (record.settled !== true) {
      record.status = podStatus(state, deps.origin, deps.clock.now())
      if (
        record.status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ===
          true &&
        !record.timeline.some(({ step }) => step === 'ready')
      ) {
        this.#host.stamp('ready')
        record.status.timeline = record.timeline
      }
    }
    this.#keepReadiness()
    const text = JSON.stringify(this.#host.observation())
    if (text === this.#told) return
    if (!record.released && isOnItsWay(record.status)) {
      this.#untold ??= deps.clock.after(NEWS_ON_THE_WAY, () => this.#tell(JSON.stringify(this.#host.observation())))
      return
    }
    this.#tell(text)
  }

  /** What waits is told no more. */
  stop(): void {
    this.#untold?.cancel()
  }

  /** Since when the pod is ready, or is not any more, is the same for the next run of the agent. */
  #keepReadiness(): void {
    const ready = this.#host.record.status.conditions?.find(({ type }) => type === 'Ready')
    const since = ready?.status === 'True' ? ready.lastTransitionTime : undefined
    if (since === this.#readySince) return
    this.#readySince = since
    this.#host.save()
  }

  #tell(text: string): void {
    this.#untold?.cancel()
    this.#untold = undefined
    this.#told = text
    this.#host.deps.reports.observed(JSON.parse(text) as ObservedPod)
  }
}
