/**
 * Who calls: the certificate's common name and organisations, or a bearer token; then, perhaps, whom the caller wants
 * to be taken for.
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/
 */
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { GantryError } from '../../proto/base/errors.ts'
import { withAuthenticatedGroup } from '../accounts/token-authenticator.ts'
import type { Authorizer } from '../authorization/authorizer.ts'
import type { User } from '../api/contract.ts'
import type { Authenticator } from './contract.ts'
import { impersonated } from './impersonation.ts'
import { tokenOf } from './web-socket-protocols.ts'

/** What of a request says who calls. */
export type Credentials = Pick<IncomingMessage, 'headers' | 'headersDistinct' | 'socket'>

const IMPERSONATION = 'impersonate-'

export class Authentication {
  readonly #tokens: readonly Authenticator[]
  readonly #authorizer: Authorizer
  /** By connection: a certificate is shown once, as the connection begins. */
  readonly #certified = new WeakMap<TLSSocket, User | 'nobody'>()

  constructor(tokens: readonly Authenticator[], authorizer: Authorizer) {
    this.#tokens = tokens
    this.#authorizer = authorizer
  }

  /**
   * Unauthenticated for a caller who shows nothing that holds; Forbidden for one who wants to be taken for somebody and
   * may not.
   */
  async identify(request: Credentials): Promise<User> {
    const caller = await this.#caller(request)
    // Taken apart only where it matters: a header that comes twice is one text in `headers`.
    return Object.keys(request.headers).some((name) => name.startsWith(IMPERSONATION))
      ? impersonated(request.headersDistinct, caller, this.#authorizer)
      : caller
  }

  async #caller({ headers, socket }: Credentials): Promise<User> {
    const certified = this.#certificate(socket as TLSSocket)
    if (certified !== undefined) return certified
    const token = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1] ?? tokenOf(headers)
    if (token !== undefined) {
      for (const authenticator of this.#tokens) {
        const user = await authenticator.authenticate(token)
        if (user !== undefined) return withAuthenticatedGroup(user)
      }
    }
    throw new GantryError('Unauthenticated', 'Unauthorized')
  }

  /** Of a certificate that the cluster's authority signed. */
  #certificate(socket: TLSSocket): User | undefined {
    let user = this.#certified.get(socket)
    if (user === undefined)
      this.#certified.set(socket, (user = (socket.authorized ? ofCertificate(socket) : undefined) ?? 'nobody'))
    return user === 'nobody' ? undefined : user
  }
}

function ofCertificate(socket: TLSSocket): User | undefined {
  // getPeerCertificate() would take the key apart as well, and OpenSSL keep a copy of it for as long as the connection
  // is there.
  const subject = socket.getPeerX509Certificate()?.subject ?? ''
  const [name, ...others] = valuesOf(subject, 'CN')
  // Of several names it is not clear which is meant.
  return name === undefined || name === '' || others.length > 0
    ? undefined
    : withAuthenticatedGroup({ name, groups: valuesOf(subject, 'O') })
}

/**
 * What a subject has of a type, in its order. Node.js writes a subject in lines, "O=nodes", or "O=nodes + CN=n1" for a
 * set. In values special characters stand behind a backslash; control characters, line ends among them, are two
 * hexadecimal digits behind one (RFC 2253, section 2.4).
 */
function valuesOf(subject: string, type: string): string[] {
  const values = subject
    .split(/\n| \+ /)
    .filter((part) => part.startsWith(`${type}=`))
    .map((part) => part.slice(type.length + 1))
  return values.map((value) =>
    value.replace(/\\([0-9A-F]{2}|.)/g, (_, escaped: string) =>
      escaped.length === 2 ? String.fromCharCode(parseInt(escaped, 16)) : escaped,
    ),
  )
}
