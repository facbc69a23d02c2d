/** A pod's status as it changes: worked out after each turn, told when it is another one. */
import type { Timer } from '../../../proto/base/clock.ts'
import type { ObservedPod, TimelineStep } from '../../../proto/gen/types.ts'
import type { PodRecord } from '../../state/contract.ts'
import type { PodDependencies } from '../dependencies.ts'
import type { PodState } from '../plan/pod-state.ts'
import { isStartingUp, podStatus } from './pod-status.ts'

/** The pod. */
export interface StatusReporterHost {
  readonly deps: Pick<PodDependencies, 'clock' | 'origin' | 'reports'>
  readonly record: PodRecord
  observation(): ObservedPod
  markTimeline(step: TimelineStep['step']): void
  save(): void
}

/**
 * Milliseconds that news of a pod on its way to running wait for the next ones, which most often are that it runs:
 * telling each step would cost the control plane several writes a pod, just when many start.
 */
const STARTUP_REPORT_DELAY_MS = 500

export class StatusReporter {
  readonly #host: StatusReporterHost
  /** Until news that may wait are told. */
  #reportTimer: Timer | undefined
  #readySince: string | undefined
  #lastReported = ''

  constructor(host: StatusReporterHost) {
    this.#host = host
  }

  update(state: PodState): void {
    const { record, deps } = this.#host
    if (record.settled !== true) {
      record.status = podStatus(state, deps.origin, deps.clock.now())
      if (
        record.status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ===
          true &&
        !record.timeline.some(({ step }) => step === 'ready')
      ) {
        this.#host.markTimeline('ready')
        record.status.timeline = record.timeline
      }
    }
    this.#persistReadiness()
    const text = JSON.stringify(this.#host.observation())
    if (text === this.#lastReported) return
    if (!record.released && isStartingUp(record.status)) {
      this.#reportTimer ??= deps.clock.after(STARTUP_REPORT_DELAY_MS, () =>
        this.#report(JSON.stringify(this.#host.observation())),
      )
      return
    }
    this.#report(text)
  }

  /** What waits is told no more. */
  stop(): void {
    this.#reportTimer?.cancel()
  }

  /** Since when the pod is ready, or is not any more, is the same for the next run of the agent. */
  #persistReadiness(): void {
    const ready = this.#host.record.status.conditions?.find(({ type }) => type === 'Ready')
    const since = ready?.status === 'True' ? ready.lastTransitionTime : undefined
    if (since === this.#readySince) return
    this.#readySince = since
    this.#host.save()
  }

  #report(text: string): void {
    this.#reportTimer?.cancel()
    this.#reportTimer = undefined
    this.#lastReported = text
    this.#host.deps.reports.podStatusChanged(JSON.parse(text) as ObservedPod)
  }
}
