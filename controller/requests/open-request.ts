/** A request between its coming and its end: it is counted, the auditor is told of it, and it may hold a seat. */
import type { Auditor, RequestOutcome } from './audit.ts'
import type { RequestCounter, RequestSeries } from './request-counter.ts'
import type { RequestInfo } from './request-info.ts'

export class OpenRequest {
  readonly info: RequestInfo
  readonly #auditor: Auditor
  readonly #counter: RequestCounter
  readonly #series: RequestSeries
  #release: (() => void) | undefined
  #over = false

  constructor(info: RequestInfo, auditor: Auditor, counter: RequestCounter) {
    this.info = info
    this.#auditor = auditor
    this.#counter = counter
    auditor.received(info)
    this.#series = counter.begin(info)
  }

  /** `release` gives the seat back that the request holds; it is called at its end. */
  holdSeat(release: () => void): void {
    this.#release = release
  }

  /** Nothing more comes of it. The first outcome counts. */
  end(outcome: RequestOutcome): void {
    if (this.#over) return
    this.#over = true
    this.#release?.()
    this.#counter.end(this.#series, outcome)
    this.#auditor.completed(this.info, outcome)
  }
}
