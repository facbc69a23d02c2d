/**
 * What a client names as protocols of a WebSocket. A browser cannot send the Authorization header there: its token
 * stands among them.
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/#putting-a-bearer-token-in-a-request
 */
import type { IncomingHttpHeaders } from 'node:http'

const TOKEN = 'base64url.bearer.authorization.k8s.io.'

/** In its order, without the token. */
export function protocolsOf(headers: IncomingHttpHeaders): string[] {
  return namesIn(headers).filter((name) => !name.startsWith(TOKEN))
}

/** A bearer token, if the request asks for a WebSocket and has one. */
export function tokenOf(headers: IncomingHttpHeaders): string | undefined {
  if (headers.upgrade?.toLowerCase() !== 'websocket') return undefined
  const encoded = namesIn(headers)
    .find((name) => name.startsWith(TOKEN))
    ?.slice(TOKEN.length)
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64url').toString()
}

function namesIn(headers: IncomingHttpHeaders): string[] {
  return (headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}
