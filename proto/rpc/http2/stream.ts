/** One call on a connection: what is still to be sent of it, and who takes what comes. */
import type { GantryError } from '../../base/errors.ts'
import type { HeaderFields } from './header-fields.ts'

/**
 * Whoever takes what comes on a stream. `last` is true once, of what ends it; instead of that `broke` may come, after
 * which nothing more comes either.
 */
export interface Receiver {
  /** The head of an answer; what comes after the data are its trailers. */
  headers(fields: HeaderFields, last: boolean): void
  /** Bytes that may share memory with others. Whoever has done with them says so: see Http2Stream.consumed. */
  data(bytes: Buffer, last: boolean): void
  /** `refused`: the other side has not begun with it, so that it may be asked again. */
  broke(reason: { readonly refused: boolean; readonly error: GantryError }): void
}

/** What a stream needs of its connection. */
export interface StreamOwner {
  /** More is to be sent. */
  pump(stream: Http2Stream): void
  /** So many bytes were taken; the other side may send as many more. */
  credit(stream: Http2Stream, bytes: number): void
  reset(stream: Http2Stream, code: number): void
}

export class Http2Stream {
  readonly id: number
  readonly receiver: Receiver
  readonly #owner: StreamOwner
  /** Bytes that the other side takes of this stream, for now. */
  sendWindow: number
  /** What could not be sent yet, and whether it is all there is. */
  readonly unsent: Buffer[] = []
  isSendingOver = false
  isReceivingOver = false
  /** Nothing comes or goes any more. */
  isClosed = false
  /** Bytes of data that came and for which the other side has been given no new room. */
  received = 0
  /** Bytes taken that the other side has not been told of. */
  uncredited = 0
  readonly #onSent: (() => void)[] = []

  constructor(id: number, receiver: Receiver, owner: StreamOwner, sendWindow: number) {
    this.id = id
    this.receiver = receiver
    this.#owner = owner
    this.sendWindow = sendWindow
  }

  /** Sends as the other side takes it; nothing is sent of a stream that is closed. */
  send(bytes: Buffer): void {
    if (this.isClosed) return
    this.unsent.push(bytes)
    this.#owner.pump(this)
  }

  /** Resolves when all is on its way that was to be sent, or is not to be sent any more. */
  sent(): Promise<void> {
    if (this.unsent.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onSent.push(resolve))
  }

  /** Nothing follows what was to be sent. */
  end(): void {
    if (this.isClosed || this.isSendingOver) return
    this.isSendingOver = true
    this.send(Buffer.alloc(0))
  }

  /** For the connection: nothing waits to be sent. */
  onEmpty(): void {
    for (const resolve of this.#onSent.splice(0)) resolve()
  }

  /** So many bytes of what was received are done with: as many more may come. */
  consumed(bytes: number): void {
    if (!this.isClosed) this.#owner.credit(this, bytes)
  }

  /** Ends it with a code, unless it has ended. The receiver hears nothing more. */
  reset(code: number): void {
    if (!this.isClosed) this.#owner.reset(this, code)
  }
}
