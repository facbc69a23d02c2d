/** Connections that become SPDY/3.1 sessions. */
import type { IncomingMessage } from 'node:http'
import type { ResourceRequest, UpgradedConnection } from '../contract.ts'
import { HttpError } from '../status.ts'
import { SpdySession, type SpdySessionParts } from './spdy/session.ts'

export function wantsSpdy({ headers }: ResourceRequest): boolean {
  return (headers.upgrade ?? '').toLowerCase() === 'spdy/3.1'
}

/**
 * The protocol within SPDY that both know, the server's preferred first. 403 if there is none, as Kubernetes has it.
 */
export function chooseSpdyProtocol({ headersDistinct }: IncomingMessage, known: readonly string[]): string {
  const asked = (headersDistinct['x-stream-protocol-version'] ?? [])
    .flatMap((line) => line.split(','))
    .map((name) => name.trim())
  const chosen = known.find((name) => asked.includes(name))
  if (chosen === undefined)
    throw new HttpError(
      403,
      'Forbidden',
      `none of the protocols in X-Stream-Protocol-Version is known: ${asked.join(', ') || 'none was named'}; known are ${known.join(', ')}`,
    )
  return chosen
}

/**
 * Answers the upgrade; `ended` resolves with the connection's end, which comes when the signal is aborted at the
 * latest.
 */
export function acceptSpdy(
  { signal }: ResourceRequest,
  { socket, head }: UpgradedConnection,
  protocol: string,
  parts: Omit<SpdySessionParts, 'socket' | 'head'>,
): { session: SpdySession; ended: Promise<void> } {
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  )
  const session = new SpdySession({ ...parts, socket, head })
  return { session, ended: session.run(signal) }
}
