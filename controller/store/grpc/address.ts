/** Where a member of etcd listens, and the socket to it. */
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { GantryError } from '../../../proto/base/errors.ts'

/** PEM. The certificate is the client's. */
export interface TlsKeys {
  readonly ca: Uint8Array
  readonly cert: Uint8Array
  readonly key: Uint8Array
}

export interface MemberAddress {
  /** As HTTP names it. */
  readonly authority: string
  readonly target: { readonly host: string; readonly port: number } | { readonly path: string }
}

/** What a socket is called where a name is asked for: in HTTP and in certificates. */
const SOCKET_NAME = 'localhost'
/** https://etcd.io/docs/v3.5/op-guide/configuration/ */
const DEFAULT_PORT = 2379

/** host:port, with or without http(s):// before it, or unix:PATH. InvalidArgument for what is neither. */
export function parseMemberAddress(endpoint: string): MemberAddress {
  const socket = /^unix:(?:\/\/(?=\/))?(.+)$/.exec(endpoint)?.[1]
  if (socket !== undefined) return { authority: SOCKET_NAME, target: { path: socket } }
  const [, ip6, name, port] = /^(?:https?:\/\/)?(?:\[([^\]]+)\]|([^:/]+))(?::(\d+))?\/?$/.exec(endpoint) ?? []
  const host = ip6 ?? name
  if (host === undefined) throw new GantryError('InvalidArgument', `${endpoint} is no address of etcd`)
  const target = { host, port: port === undefined ? DEFAULT_PORT : Number(port) }
  return { authority: `${ip6 === undefined ? host : `[${host}]`}:${target.port}`, target }
}

/** A socket on its way to a member. */
export function openSocket({ target }: MemberAddress, tls: TlsKeys | undefined): Socket {
  if (tls === undefined) return connectPlain(target)
  const name = 'path' in target ? SOCKET_NAME : target.host
  return connectTls({
    ...target,
    ca: Buffer.from(tls.ca),
    cert: Buffer.from(tls.cert),
    key: Buffer.from(tls.key),
    ALPNProtocols: ['h2'],
    // An address is looked for in the certificate, but not asked for by name.
    ...(isIP(name) === 0 ? { servername: name } : {}),
  })
}
