/** One probe of one instance, made again and again until it is stopped or has come to its end. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import type { Probe } from '../../../proto/gen/types.ts'
import type { ProbeOutcome } from './contract.ts'
import { countOutcome, nextProbe, INITIAL_PROBE_COUNT, type ProbeKind } from './probe-count.ts'

export interface ProbeLoopParts {
  readonly kind: ProbeKind
  readonly probe: Probe
  readonly clock: Clock
  /** Milliseconds until the first try. */
  readonly first: number
  /**
   * False for a container that has only begun: that it does not answer yet says nothing. The first try then counts only
   * if it succeeds, the next after a period does.
   */
  readonly firstCounts: boolean
  /** Never rejects. */
  readonly attempt: (signal: AbortSignal) => Promise<ProbeOutcome>
  /** Each outcome that counts; one that says nothing about the container, too. */
  readonly onOutcome: (outcome: ProbeOutcome) => void
  /** What the probe says from now on. It may be what it said before. */
  readonly onVerdict: (healthy: boolean) => void
}

export class ProbeLoop {
  readonly #parts: ProbeLoopParts
  #count = INITIAL_PROBE_COUNT
  #succeeded = false
  /** The first try has ended. */
  #told = false
  #firstAt: number | undefined
  #regularAt = 0
  #timer: Timer | undefined
  #attempt: AbortController | undefined
  #stopped = false

  constructor(parts: ProbeLoopParts) {
    this.#parts = parts
    this.#timer = parts.clock.after(parts.first, () => this.#try(parts.firstCounts))
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#attempt?.abort(new GantryError('Cancelled', 'the probe is stopped'))
  }

  #try(regular: boolean): void {
    const { clock, probe, attempt } = this.#parts
    const begun = clock.monotonic()
    if (regular || this.#firstAt === undefined) this.#regularAt = begun
    this.#firstAt ??= begun
    const ending = (this.#attempt = new AbortController())
    const late = clock.after(probe.timeoutSeconds * 1000, () =>
      ending.abort(new GantryError('DeadlineExceeded', `no answer within ${probe.timeoutSeconds} s`)),
    )
    attempt(ending.signal).then(
      (outcome) => {
        late.cancel()
        this.#attempt = undefined
        if (!this.#stopped) this.#ended(outcome, regular)
      },
      (thrown: unknown) => {
        late.cancel()
        this.#attempt = undefined
        if (!this.#stopped) this.#ended({ verdict: 'error', message: GantryError.from(thrown).message }, regular)
      },
    )
  }

  #ended(outcome: ProbeOutcome, regular: boolean): void {
    // What cannot even be asked is told at once: it does not pass by itself.
    if (!regular && outcome.verdict === 'error' && !this.#told) this.#parts.onOutcome(outcome)
    this.#told = true
    const { kind, probe, clock, onOutcome, onVerdict } = this.#parts
    const success = outcome.verdict === 'success' || outcome.verdict === 'warning'
    if (regular || success) {
      onOutcome(outcome)
      if (outcome.verdict !== 'error') {
        this.#succeeded ||= success
        const { count, verdict } = countOutcome(this.#count, success, probe)
        this.#count = count
        if (verdict !== undefined) {
          // Startup is decided once; liveness goes on only while it succeeds.
          if (kind === 'startup' || (kind === 'liveness' && !verdict)) this.stop()
          onVerdict(verdict)
        }
      }
    }
    if (this.#stopped) return
    const now = clock.monotonic()
    const next = nextProbe(kind, probe.periodSeconds, now - this.#firstAt!, now - this.#regularAt, this.#succeeded)
    this.#timer = clock.after(next.after, () => this.#try(next.regular))
  }
}
