/**
 * Forwarded connections over SPDY: for each, the client opens a stream for errors and one for data, with the same
 * request id.
 */
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import type { ForwardedConnection } from './forwarding.ts'
import { RESET } from './spdy/frames.ts'
import type { SpdyStream } from './spdy/session.ts'

/** Milliseconds for the second stream of a pair to be opened. */
const PAIR_DEADLINE = 30_000

interface HalfPair {
  readonly stream: SpdyStream
  readonly late: Timer
}

export class ForwardPairs {
  readonly #clock: Clock
  readonly #found: (connection: ForwardedConnection) => void
  readonly #waiting = new Map<string, HalfPair>()

  constructor(clock: Clock, found: (connection: ForwardedConnection) => void) {
    this.#clock = clock
    this.#found = found
  }

  /**
   * A stream that is neither data nor error, or has no valid port or request id, is refused; so is one that is there
   * already.
   */
  opened(stream: SpdyStream): void {
    const type = stream.headers.get('streamtype')
    const port = Number(stream.headers.get('port'))
    const id = stream.headers.get('requestid')
    if (
      (type !== 'data' && type !== 'error') ||
      id === undefined ||
      !Number.isInteger(port) ||
      port < 1 ||
      port > 65_535
    )
      return stream.reset(RESET.refusedStream)
    const key = `${id} ${port}`
    const other = this.#waiting.get(key)
    if (other?.stream.headers.get('streamtype') === type) return stream.reset(RESET.refusedStream)
    stream.accept()
    if (other === undefined) {
      const late = this.#clock.after(PAIR_DEADLINE, () => stream.reset())
      this.#waiting.set(key, { stream, late })
      stream.signal.addEventListener(
        'abort',
        () => {
          late.cancel()
          if (this.#waiting.get(key)?.stream === stream) this.#waiting.delete(key)
        },
        { once: true },
      )
      return
    }
    other.late.cancel()
    this.#waiting.delete(key)
    const [data, error] = type === 'data' ? [stream, other.stream] : [other.stream, stream]
    this.#found(connectionOf(port, data, error))
  }
}

function connectionOf(port: number, data: SpdyStream, error: SpdyStream): ForwardedConnection {
  return {
    port,
    incoming: data.incoming,
    signal: data.signal,
    write: (bytes) => data.write(bytes),
    // Clients wait for the end of both.
    end: async () => {
      await data.end()
      await error.end()
    },
    fail: async (message) => {
      await error.write(Buffer.from(message))
      await error.end()
      data.reset(RESET.internalError)
    },
  }
}
