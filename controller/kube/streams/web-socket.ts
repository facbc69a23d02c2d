/** Connections that become WebSockets (RFC 6455). */
import { WebSocketServer, type WebSocket } from 'ws'
import type { Clock } from '../../../proto/base/clock.ts'
import type { ResourceRequest, UpgradedConnection } from '../contract.ts'
import { protocolsOf } from '../web-socket-protocols.ts'
import { badRequest } from './pod-target.ts'

/** Bytes of a message at most, as Kubernetes has it. */
const MESSAGE_LIMIT = 32 * 1024 * 1024
/** Milliseconds between pings, so that whatever stands in between sees the connection in use. */
const PING = 30_000

export function wantsWebSocket({ headers }: ResourceRequest): boolean {
  return (headers.upgrade ?? '').toLowerCase() === 'websocket'
}

/**
 * The protocol that both know, the server's preferred first; '' if the client names none and that is one of `known`.
 * 400 if there is none.
 */
export function chooseProtocol({ headers }: ResourceRequest, known: readonly string[]): string {
  const asked = protocolsOf(headers)
  const chosen = asked.length === 0 ? known.find((name) => name === '') : known.find((name) => asked.includes(name))
  if (chosen === undefined)
    throw badRequest(
      `none of the WebSocket protocols is known: ${asked.join(', ') || 'none was named'}; known are ${known.filter((name) => name !== '').join(', ')}`,
    )
  return chosen
}

/**
 * Answers the handshake. 400 if it is malformed. The socket is pinged until it closes, and cut when the signal is
 * aborted.
 */
export async function acceptWebSocket(
  { signal }: ResourceRequest,
  { request, socket, head }: UpgradedConnection,
  protocol: string,
  clock: Clock,
): Promise<WebSocket> {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MESSAGE_LIMIT,
  })
  // Kubernetes' names hold a slash, which a token of HTTP has no place for: the library would refuse the handshake for
  // it.
  delete request.headers['sec-websocket-protocol']
  server.on('headers', (lines) => void (protocol !== '' && lines.push(`Sec-WebSocket-Protocol: ${protocol}`)))
  const opened = await new Promise<WebSocket>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    signal.throwIfAborted()
    server.once('wsClientError', (error) => reject(badRequest(error.message)))
    server.handleUpgrade(request, socket, head, resolve)
  })
  const abort = (): void => opened.terminate()
  const ping = (): void => {
    opened.ping()
    timer = clock.after(PING, ping)
  }
  let timer = clock.after(PING, ping)
  // What is wrong with the connection ends it, which is all that matters here.
  opened.on('error', abort)
  opened.once('close', () => {
    timer.cancel()
    signal.removeEventListener('abort', abort)
  })
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  return opened
}

/** Resolves when the connection is closed altogether. */
export function closed(socket: WebSocket): Promise<void> {
  return socket.readyState === socket.CLOSED
    ? Promise.resolve()
    : new Promise((resolve) => socket.once('close', () => resolve()))
}
