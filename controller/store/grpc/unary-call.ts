/** A call with one question and one answer, until it has ended. */
import type { Timer } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { HeaderFields } from '../../../proto/rpc/http2/header-fields.ts'
import { ERROR_CODE } from '../../../proto/rpc/http2/frames.ts'
import type { Http2Stream, Receiver } from '../../../proto/rpc/http2/stream.ts'
import { MessageReader } from './framing.ts'
import { failureOf, isGrpc } from './status.ts'

export type CallEnd =
  | { readonly is: 'answered'; readonly message: Buffer }
  /** The member has not begun with it: nothing happened, and it may be asked again. */
  | { readonly is: 'refused'; readonly error: GantryError }
  /** `late`: the member did not answer within the time given. */
  | { readonly is: 'failed'; readonly error: GantryError; readonly late: boolean }

export class UnaryCall implements Receiver {
  /** Set by whoever begins the call, before anything comes. */
  stream: Http2Stream | undefined
  timer: Timer | undefined
  readonly #settled: (end: CallEnd) => void
  readonly #reader: MessageReader
  #head: HeaderFields | undefined
  #message: Buffer | undefined
  #messages = 0
  #isSettled = false

  /** `settled` is called once. */
  constructor(limit: number, settled: (end: CallEnd) => void) {
    this.#reader = new MessageReader(limit)
    this.#settled = settled
  }

  headers(fields: HeaderFields, last: boolean): void {
    if (!last) {
      // What comes before the head only says that it will come.
      this.#head = fields
      return
    }
    this.#finish(fields)
  }

  data(bytes: Buffer, last: boolean): void {
    this.stream?.consumed(bytes.length)
    if (this.#isSettled) return
    try {
      if (this.#head !== undefined && isGrpc(this.#head)) this.#reader.push(bytes, this.#take)
    } catch (thrown) {
      return this.#settle({ is: 'failed', error: GantryError.from(thrown), late: false })
    }
    if (last) this.#finish(undefined)
  }

  broke({ refused, error }: { refused: boolean; error: GantryError }): void {
    if (refused) this.#settle({ is: 'refused', error: unavailable('the member refused the call', error) })
    else
      this.#settle({ is: 'failed', error: unavailable('the connection broke before the answer', error), late: false })
  }

  /** The time of the call is over. */
  giveUp(millis: number): void {
    this.#settle({ is: 'failed', error: unavailable(`no answer within ${Math.round(millis)} ms`), late: true })
  }

  readonly #take = (message: Buffer): void => {
    this.#message = message
    this.#messages++
  }

  #finish(trailers: HeaderFields | undefined): void {
    const failure = failureOf(this.#head ?? trailers, trailers)
    if (failure !== undefined) this.#settle({ is: 'failed', error: failure, late: false })
    else if (this.#message === undefined || this.#messages > 1 || this.#reader.unfinished)
      this.#settle({ is: 'failed', error: unavailable('the answer is not one message'), late: false })
    else this.#settle({ is: 'answered', message: this.#message })
  }

  #settle(end: CallEnd): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.timer?.cancel()
    // What the member still has to say is of no interest, and what it does for the call it may leave.
    this.stream?.reset(ERROR_CODE.cancel)
    this.#settled(end)
  }
}

function unavailable(text: string, cause?: unknown): GantryError {
  return new GantryError('Unavailable', `etcd: ${text}`, { cause })
}
