/** A call with many messages in both directions. Whoever reads too slowly slows the member down. */
import { Channel } from '../../../proto/base/channel.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { ERROR_CODE } from '../../../proto/rpc/http2/frames.ts'
import type { HeaderFields } from '../../../proto/rpc/http2/header-fields.ts'
import type { Http2Stream, Receiver } from '../../../proto/rpc/http2/stream.ts'
import { MessageReader } from './framing.ts'
import { failureOf, isGrpc } from './status.ts'

/** Bytes of messages not yet taken beyond which the member is not told to send more. */
const UNREAD_LIMIT = 4 * 1024 * 1024

export class MessageStream implements Receiver {
  #stream: Http2Stream | undefined
  readonly #messages = new Channel<Buffer>()
  readonly #reader: MessageReader
  readonly #onEnd: () => void
  #head: HeaderFields | undefined
  #isOver = false
  /** Bytes of messages not yet taken, and bytes received that the member has not been told of. */
  #unread = 0
  #uncredited = 0

  /** `onEnd` is called once, when either side has ended it. */
  constructor(limit: number, onEnd: () => void) {
    this.#reader = new MessageReader(limit)
    this.#onEnd = onEnd
  }

  /** Once, by whoever began it. */
  begin(stream: Http2Stream): void {
    this.#stream = stream
  }

  /** A message as a frame; it is lost when the stream has ended, which the messages tell. */
  send(frame: Buffer): void {
    if (!this.#isOver) this.#stream?.send(frame)
  }

  /** What comes, to be iterated once. Throws when the stream has ended, however that came; ends after `cancel`. */
  async *messages(): AsyncGenerator<Buffer, void, undefined> {
    for await (const message of this.#messages) {
      this.#unread -= message.length
      this.#credit()
      yield message
    }
  }

  /** Ends the messages and the call. */
  cancel(): void {
    this.#messages.close()
    this.#end()
  }

  headers(fields: HeaderFields, last: boolean): void {
    if (last) this.#finish(fields)
    else this.#head = fields
  }

  data(bytes: Buffer, last: boolean): void {
    this.#uncredited += bytes.length
    try {
      if (this.#head !== undefined && isGrpc(this.#head)) this.#reader.push(bytes, this.#keep)
    } catch (thrown) {
      this.#messages.close(thrown)
      return this.#end()
    }
    this.#credit()
    if (last) this.#finish(undefined)
  }

  broke({ error }: { refused: boolean; error: GantryError }): void {
    this.#messages.close(new GantryError('Unavailable', 'etcd: the stream broke', { cause: error }))
    this.#end()
  }

  readonly #keep = (message: Buffer): void => {
    if (this.#messages.push(message)) this.#unread += message.length
  }

  #credit(): void {
    if (this.#unread >= UNREAD_LIMIT) return
    this.#stream?.consumed(this.#uncredited)
    this.#uncredited = 0
  }

  #finish(trailers: HeaderFields | undefined): void {
    const failure = failureOf(this.#head ?? trailers, trailers)
    this.#messages.close(failure ?? new GantryError('Unavailable', 'etcd: the stream has ended'))
    this.#end()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stream?.reset(ERROR_CODE.cancel)
    this.#onEnd()
  }
}
