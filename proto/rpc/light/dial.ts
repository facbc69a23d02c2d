/**
 * Connects to a server, with mutual TLS where there are credentials.
 *
 * Node.js reads some 140 certificates of public authorities as soon as a connection is given an authority of its own,
 * which takes longer than all the rest of a short program. So a certificate that was checked in full before, for the
 * same name and the same authority, and that is still in its time, is recognized by its digest instead; any other is
 * checked in full, on a connection of its own.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import type { ConnectionOptions, PeerCertificate, TLSSocket } from 'node:tls'
import type { Clock } from '../../base/clock.ts'
import { GantryError } from '../../base/errors.ts'
import { CONTROLLER_HOST } from '../contract.ts'
import type { CheckedCertificates } from './checked-certificates.ts'

/** Milliseconds for a connection to be there; after that the server counts as gone. */
const CONNECT_TIMEOUT_MS = 20_000

/** PEM texts. */
export interface TlsOptions {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly serverName?: string
}

export interface DialOptions {
  /** host:port */
  readonly address: string
  /** Undefined: in the clear. */
  readonly tls: TlsOptions | undefined
  readonly checked: CheckedCertificates
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** A socket on which HTTP/2 may be spoken. Rejects with what the system or TLS says; Unavailable. */
export async function dial(options: DialOptions): Promise<Socket> {
  const { address, tls, signal } = options
  const { host, port } = /^\[?(?<host>.*?)\]?:(?<port>\d+)$/.exec(address)!.groups as { host: string; port: string }
  const to = { host, port: Number(port), noDelay: true }
  if (tls === undefined) return established(connectTcp(to), 'connect', options)
  const { connect } = await import('node:tls')
  // A name is what the server is known by; an address has no place in TLS (RFC 6066, section 3).
  const isName = isIP(host) === 0
  const name = tls.serverName ?? (isName ? host : CONTROLLER_HOST)
  const open = (trust: ConnectionOptions): Promise<TLSSocket> =>
    established(
      connect({ ...to, cert: tls.cert, key: tls.key, ALPNProtocols: ['h2'], ...trust }),
      'secureConnect',
      options,
    )
  const known = options.checked.of(tls.ca, name)
  if (known.length > 0) {
    // Node.js looks whether the name is an address of IPv6, by an expression that takes milliseconds to compile. Whom
    // an address leads to shows another certificate if it goes by names.
    const socket = await open({ ca: [], rejectUnauthorized: false, ...(isName && { servername: name }) })
    if (known.includes(digestOf(socket))) return speaksHttp2(socket)
    socket.destroy()
    signal.throwIfAborted()
  }
  const socket = await open({ ca: tls.ca, servername: name })
  // NODE_TLS_REJECT_UNAUTHORIZED=0 lets any certificate pass, for this one connection and not for later ones.
  if (socket.authorized) {
    const [from, until] = validity(socket.getPeerCertificate(true))
    options.checked.add({ authority: tls.ca, name, digest: digestOf(socket), from, until })
  }
  return speaksHttp2(socket)
}

function digestOf(socket: TLSSocket): string {
  return socket.getPeerX509Certificate()?.fingerprint256 ?? ''
}

/** Milliseconds since 1970 between which every certificate of the chain is in its time. */
function validity(certificate: PeerCertificate): [from: number, until: number] {
  let [from, until] = [0, Infinity]
  let each: (PeerCertificate & { issuerCertificate?: PeerCertificate }) | undefined = certificate
  for (const seen = new Set<unknown>(); each !== undefined && !seen.has(each); each = each.issuerCertificate) {
    seen.add(each)
    from = Math.max(from, Date.parse(each.valid_from))
    until = Math.min(until, Date.parse(each.valid_to))
  }
  return [from, until]
}

function speaksHttp2(socket: TLSSocket): TLSSocket {
  if (socket.alpnProtocol === 'h2') return socket
  socket.destroy()
  throw new GantryError('Unavailable', 'the server does not speak HTTP/2')
}

function established<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  { address, clock, signal }: DialOptions,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      timer.cancel()
      signal.removeEventListener('abort', onAbort)
      socket.off(event, onEstablished).off('error', onError).off('close', onClose)
    }
    const fail = (message: string, cause?: unknown): void => {
      settle()
      socket.on('error', () => undefined).destroy()
      reject(new GantryError('Unavailable', message, { cause }))
    }
    const onEstablished = (): void => {
      settle()
      resolve(socket)
    }
    const onError = (error: Error): void => fail(error.message, error)
    const onClose = (): void => fail('the server closed the connection')
    const onAbort = (): void => fail((signal.reason as Error).message, signal.reason)
    const timer = clock.after(CONNECT_TIMEOUT_MS, () =>
      fail(`${address} does not answer within ${CONNECT_TIMEOUT_MS} ms`),
    )
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once(event, onEstablished).once('error', onError).once('close', onClose)
  })
}
