/**
 * A call of gRPC on a stream of HTTP/2, from its request to its status.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { Channel } from '../../base/channel.ts'
import type { Clock } from '../../base/clock.ts'
import { GantryError } from '../../base/errors.ts'
import { VERSION } from '../../base/version.ts'
import type { CallOptions } from '../contract.ts'
import { cancelled, codeOfStatus, ERROR_KEY, unpackError } from '../error-status.ts'
import { MESSAGE_LIMIT, WINDOW, type RpcMethod } from '../methods.ts'
import { ERROR_CODE } from '../http2/frames.ts'
import type { HeaderFields } from '../http2/header-fields.ts'
import type { Http2Stream, Receiver } from '../http2/stream.ts'
import type { Session } from './session.ts'

/** What stands before each message: whether it is compressed, and its length. */
const HEAD = 5

/** What calls have in common that go over one connection. */
export interface CallParts {
  /** The session that a new call goes on. Unavailable. */
  readonly session: () => Promise<Session>
  readonly clock: Clock
}

/** The answer to the one request. */
export async function callUnary(
  parts: CallParts,
  method: RpcMethod,
  request: unknown,
  options: CallOptions = {},
): Promise<unknown> {
  let answer: { readonly message: unknown } | undefined
  for await (const message of call(parts, method, [request], options)) answer ??= { message }
  if (answer === undefined) throw new GantryError('Internal', `${method.path} was answered with nothing`)
  return answer.message
}

/** What the server says, as it comes. Whoever iterates no further gives up the call. */
export async function* call(
  parts: CallParts,
  method: RpcMethod,
  requests: AsyncIterable<unknown> | readonly [unknown],
  { signal, timeout }: CallOptions = {},
): AsyncGenerator<unknown, void, undefined> {
  if (signal?.aborted === true) throw cancelled(signal)
  const answers = new Answers(method, timeout)
  const timer = timeout === undefined ? undefined : parts.clock.after(timeout, () => answers.fail(exceeded(timeout)))
  const abort = (): void => answers.fail(cancelled(signal!))
  signal?.addEventListener('abort', abort, { once: true })
  let session: Session | undefined
  try {
    const body = Array.isArray(requests) ? frameOf(method, requests[0]) : undefined
    session = await Promise.race([parts.session(), answers.failed])
    const stream = session.begin(method.path, fieldsOf(timeout), body, answers)
    answers.stream = stream
    if (body === undefined)
      sendAll(stream, method, requests as AsyncIterable<unknown>).catch((thrown: unknown) =>
        answers.fail(GantryError.from(thrown)),
      )
    yield* answers.messages
  } finally {
    timer?.cancel()
    signal?.removeEventListener('abort', abort)
    answers.stream?.reset(ERROR_CODE.cancel)
    session?.done()
  }
}

function exceeded(timeout: number): GantryError {
  return new GantryError('DeadlineExceeded', `${timeout / 1000} s have passed`, { cause: new Error('the deadline') })
}

function fieldsOf(timeout: number | undefined): Record<string, string> {
  return {
    te: 'trailers',
    'content-type': 'application/grpc',
    'user-agent': `gantry/${VERSION}`,
    ...(timeout !== undefined && { 'grpc-timeout': timeoutText(timeout) }),
  }
}

/** Eight digits at most, and a unit. */
function timeoutText(millis: number): string {
  return millis < 1e8 ? `${Math.ceil(millis)}m` : `${Math.min(Math.ceil(millis / 1000), 99_999_999)}S`
}

function frameOf(method: RpcMethod, request: unknown): Buffer {
  const message = encoded(method, request)
  const frame = Buffer.allocUnsafe(HEAD + message.length)
  frame[0] = 0
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, HEAD)
  return frame
}

function encoded({ encodeRequest }: RpcMethod, request: unknown): Uint8Array {
  try {
    return encodeRequest(request)
  } catch (thrown) {
    throw GantryError.from(thrown)
  }
}

/** Sends no faster than the server takes; ends quietly when the call is over. */
async function sendAll(stream: Http2Stream, method: RpcMethod, requests: AsyncIterable<unknown>): Promise<void> {
  for await (const request of requests) {
    if (stream.isClosed) return
    stream.send(frameOf(method, request))
    await stream.sent()
  }
  stream.end()
}

/** Makes messages and a status of what comes on a stream. */
class Answers implements Receiver {
  readonly messages = new Channel<unknown>()
  /** Rejects with what the call failed for. */
  readonly failed: Promise<never>
  stream: Http2Stream | undefined
  readonly #method: RpcMethod
  readonly #timeout: number | undefined
  #isOver = false
  #reject: (error: GantryError) => void = () => undefined
  #parts: Buffer[] = []
  #length = 0
  /** The newest: at the end those that carry the status. */
  #fields: HeaderFields = {}
  /** Bytes for which the server is given no room before messages have been taken. */
  #owed = 0

  constructor(method: RpcMethod, timeout: number | undefined) {
    this.#method = method
    this.#timeout = timeout
    this.failed = new Promise((_, reject) => (this.#reject = reject))
    this.failed.catch(() => undefined) // the messages end with it as well
  }

  /** Ends the call at once, unless it is over; messages that nobody has taken are dropped. */
  fail(error: GantryError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#reject(error)
    this.messages.fail(error)
    this.stream?.reset(ERROR_CODE.cancel)
  }

  headers(fields: HeaderFields, last: boolean): void {
    this.#fields = fields
    const status = fields[':status'] ?? '200'
    if (status !== '200' && !status.startsWith('1') && fields['grpc-status'] === undefined)
      this.fail(new GantryError(codeOfHttp(Number(status)), `the server answered with HTTP status ${status}`))
    if (last) this.#end()
  }

  data(bytes: Buffer, last: boolean): void {
    if (this.#isOver) return this.#credit(bytes.length)
    if (bytes.length > 0) this.#parts.push(bytes)
    this.#length += bytes.length
    while (this.#takeMessage());
    if (this.#length === 0) this.#parts = []
    this.#creditLater(bytes.length)
    if (last) this.#end()
  }

  broke({ error }: { readonly error: GantryError }): void {
    this.#isOver = true
    this.messages.close(error)
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    const error = this.#statusError()
    if (error === undefined && this.#length > 0)
      this.messages.close(new GantryError('Internal', 'an answer is cut off'))
    else this.messages.close(error)
  }

  /** The server is given room for what has come at once, or when enough of it has been taken. */
  #creditLater(bytes: number): void {
    if (this.messages.length < WINDOW) return this.#credit(bytes)
    const isWaiting = this.#owed > 0
    this.#owed += bytes
    if (isWaiting) return
    void this.messages.waitForRoom(WINDOW / 2).then(() => {
      this.#credit(this.#owed)
      this.#owed = 0
    })
  }

  #credit(bytes: number): void {
    this.stream?.consumed(bytes)
  }

  /** True if there was one; it is joined only once all of it is there. */
  #takeMessage(): boolean {
    if (this.#length < HEAD) return false
    if (this.#parts[0]!.length < HEAD) this.#join()
    const [first] = this.#parts as [Buffer]
    const length = first.readUInt32BE(1)
    if (first[0] !== 0) return this.#refuse('Internal', 'the server answered compressed, which was not asked for')
    if (length > MESSAGE_LIMIT)
      return this.#refuse('ResourceExhausted', `an answer of ${length} bytes is larger than ${MESSAGE_LIMIT}`)
    if (this.#length < HEAD + length) return false
    if (first.length < HEAD + length) this.#join()
    const [whole] = this.#parts as [Buffer]
    this.#parts[0] = whole.subarray(HEAD + length)
    this.#length -= HEAD + length
    try {
      this.messages.push(this.#method.decodeResponse(whole.subarray(HEAD, HEAD + length)))
    } catch (thrown) {
      this.fail(GantryError.from(thrown))
      return false
    }
    return true
  }

  #join(): void {
    this.#parts = [Buffer.concat(this.#parts)]
  }

  #refuse(code: 'Internal' | 'ResourceExhausted', message: string): false {
    this.fail(new GantryError(code, message))
    return false
  }

  /** Undefined for a call that went well. */
  #statusError(): GantryError | undefined {
    const status = this.#fields['grpc-status']
    if (status === '0') return undefined
    const message = percentDecoded(this.#fields['grpc-message'] ?? '')
    const cause = new Error(`gRPC status ${status ?? 'is missing'}: ${message}`)
    const packed = this.#fields[ERROR_KEY]
    if (packed !== undefined) return unpackError(Buffer.from(packed, 'base64'), cause)
    if (status === undefined) return new GantryError('Internal', 'the server ended the call without a status')
    const code = codeOfStatus(Number(status))
    // The server counts as well, and may be told first that the time is over.
    if (code === 'DeadlineExceeded' && this.#timeout !== undefined) return exceeded(this.#timeout)
    return new GantryError(code, message, { cause })
  }
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // as is said, a receiver must not fail for it
  }
}

/** https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
function codeOfHttp(status: number): 'Unauthenticated' | 'Forbidden' | 'Unsupported' | 'Unavailable' | 'Internal' {
  switch (status) {
    case 401:
      return 'Unauthenticated'
    case 403:
      return 'Forbidden'
    case 404:
      return 'Unsupported'
    case 429:
    case 502:
    case 503:
    case 504:
      return 'Unavailable'
    default:
      return 'Internal'
  }
}
