/**
 * One exchange from its beginning to its end, and why it ended early. It costs little: an AbortController is made only
 * for those who listen to one.
 */
import { GantryError } from '../../proto/base/errors.ts'

/**
 * Why a call ends whose caller has gone, or has its answer. One for all: every answer ends so, and an error of its own,
 * with the stack that it takes down, would be a fifth of what a small answer costs.
 */
export const CALLER_GONE = new GantryError('Cancelled', 'the caller went away')

export class InFlightRequest {
  /** It goes on for as long as the caller wants. */
  isLong = false
  #controller: AbortController | undefined
  #reason: GantryError | undefined
  #seat: (() => void) | undefined
  #left = false
  #ended: ((reason: GantryError) => void) | undefined

  /** Aborted when the caller goes away, the deadline of the request passes or the server stops. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  get isOver(): boolean {
    return this.#reason !== undefined
  }

  /** Nothing more is to be done for it. The first reason counts. */
  end(reason: GantryError): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#controller?.abort(reason)
    this.#ended?.(reason)
  }

  /**
   * The work's outcome, or the reason for which the call ends before: a worker that listens to no signal does not keep
   * it.
   */
  race<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#reason !== undefined) reject(this.#reason)
      this.#ended = reject
      work.then((value) => {
        // What began may go on for long: nothing of this is to be kept for it.
        this.#ended = undefined
        resolve(value)
      }, reject)
    })
  }

  /** `release` gives back the seat that the call holds among its user's; it is called at once if the call has left. */
  holdSeat(release: () => void): void {
    if (this.#left) release()
    else this.#seat = release
  }

  /** The call holds no seat any more, nor takes one. */
  releaseSeat(): void {
    this.#left = true
    this.#seat?.()
    this.#seat = undefined
  }
}
