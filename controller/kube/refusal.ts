/**
 * Answers on a connection that is no exchange: nothing of HTTP stands between them and the client. The connection ends
 * with them.
 */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Target } from './contract.ts'
import { statusOf, HttpError, type HttpStatus } from './status.ts'

/**
 * A connection that is closed while there is something to read is reset, and what was sent last is lost: so what else
 * comes is read and passed over, this many pieces of it, until the client has heard that it is over, or for so many
 * milliseconds.
 */
const MAX_DISCARDED_CHUNKS = 100
const LINGER_MS = 1_000

/** Pieces passed over. */
const refused = new WeakMap<Duplex, number>()

/** To who sends what is no request; called again for all that comes after it. What is not even TLS gets no answer. */
export function refuse(
  socket: Duplex & { setTimeout?(millis: number): unknown },
  error: Error & { code?: string },
): void {
  const pieces = refused.get(socket)
  const refusal = refusalOf(error.code ?? '')
  if (refusal === undefined || pieces === MAX_DISCARDED_CHUNKS || (pieces === undefined && !socket.writable))
    return void socket.destroy()
  refused.set(socket, (pieces ?? 0) + 1)
  if (pieces !== undefined) return
  write(socket, statusOf(refusal))
  socket.setTimeout?.(LINGER_MS)
}

/** To who wanted another protocol, while the connection still speaks HTTP. The code that was answered with. */
export function refuseUpgrade(socket: Duplex, thrown: unknown, target?: Target): number {
  const status = statusOf(thrown, target)
  if (!socket.destroyed && socket.writable) write(socket, status)
  return status.code
}

/** By what Node.js says of it. https://nodejs.org/api/http.html#event-clienterror */
function refusalOf(code: string): HttpError | undefined {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new HttpError(431, 'RequestHeaderFieldsTooLarge', 'the headers of the request are too large')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HttpError(408, 'Timeout', 'the request did not arrive in time', 'DeadlineExceeded')
    default:
      return code.startsWith('HPE_')
        ? new HttpError(400, 'BadRequest', `the request is not HTTP/1.1 (${code})`)
        : undefined
  }
}

function write(socket: Duplex, { code, body }: HttpStatus): void {
  const text = JSON.stringify(body)
  socket.end(
    `HTTP/1.1 ${code} ${STATUS_CODES[code] ?? 'Refused'}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  )
}
