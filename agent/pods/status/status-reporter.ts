/** A pod's status as it changes: told when it is another one. */
import type { Timer } from '../../../proto/base/clock.ts'
import type { ObservedPod, PodStatus } from '../../../proto/gen/types.ts'
import type { PodRecord } from '../../state/contract.ts'
import type { PodDependencies } from '../dependencies.ts'
import { isStartingUp } from './pod-status.ts'

/** The pod. */
export interface StatusReporterHost {
  readonly deps: Pick<PodDependencies, 'clock' | 'reports'>
  /** What is told of the pod, as its record has it now. */
  observation(): ObservedPod
  /** Writes the record; nobody waits for it. */
  save(): void
}

/**
 * Milliseconds that news of a pod on its way to running wait for the next ones, which most often are that it runs:
 * telling each step would cost the control plane several writes a pod, just when many start.
 */
const STARTUP_REPORT_DELAY_MS = 500
/** As long wait the news after those. */
const NEXT_STARTUP_REPORT_DELAY_MS = 4_000

export class StatusReporter {
  readonly #host: StatusReporterHost
  /** Until news that may wait are told. */
  #reportTimer: Timer | undefined
  /** Milliseconds that the next news of a pod on its way to running wait. */
  #startupDelay = STARTUP_REPORT_DELAY_MS
  #readySince: string | undefined
  #lastReported = ''

  constructor(host: StatusReporterHost) {
    this.#host = host
  }

  /** The record has a new status, perhaps. */
  update({ status, stage }: PodRecord): void {
    this.#persistReadiness(status)
    if (stage.stage === 'released' || !isStartingUp(status)) return this.#report()
    this.#reportTimer ??= this.#host.deps.clock.after(this.#startupDelay, () => {
      this.#startupDelay = NEXT_STARTUP_REPORT_DELAY_MS
      this.#report()
    })
  }

  /** What waits is told no more. */
  stop(): void {
    this.#reportTimer?.cancel()
  }

  /** Since when the pod is ready, or is not any more, is the same for the next run of the agent. */
  #persistReadiness({ conditions }: PodStatus): void {
    const ready = conditions?.find(({ type }) => type === 'Ready')
    const since = ready?.status === 'True' ? ready.lastTransitionTime : undefined
    if (since === this.#readySince) return
    this.#readySince = since
    this.#host.save()
  }

  /** Tells the status as it is now, if it was not told yet. */
  #report(): void {
    this.#reportTimer?.cancel()
    this.#reportTimer = undefined
    const text = JSON.stringify(this.#host.observation())
    if (text === this.#lastReported) return
    this.#lastReported = text
    this.#host.deps.reports.podStatusChanged(JSON.parse(text) as ObservedPod)
  }
}
