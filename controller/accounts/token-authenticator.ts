/**
 * Whose a token of a ServiceAccount is: it is good as long as the account is there, and the object that it was made
 * for.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { parseTime } from '../../proto/base/time.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { AnyResource, Kind } from '../../proto/gen/types.ts'
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { User } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import { accountUser, type AccountTokens, type BoundObject, type TokenSubject, type VerifiedToken } from './tokens.ts'

/**
 * Milliseconds for which something that is being deleted may still use its token, as in Kubernetes: it may have to take
 * its leave.
 */
const DELETION_LEEWAY_MS = 60_000

const ACCOUNTS_GROUP = 'system:serviceaccounts'
export const AUTHENTICATED_GROUP = 'system:authenticated'

/** Of a user: the pod that the token is bound to. */
export const POD_NAME = 'authentication.kubernetes.io/pod-name'

export const UNAUTHENTICATED_GROUP = 'system:unauthenticated'
/** Whoever shows nothing. */
export const ANONYMOUS: User = { name: 'system:anonymous', groups: [UNAUTHENTICATED_GROUP] }

/** A user who has shown who they are. */
export function withAuthenticatedGroup(user: User): User {
  return user.groups.includes(AUTHENTICATED_GROUP) ? user : { ...user, groups: [...user.groups, AUTHENTICATED_GROUP] }
}

/** Every group that an account is in. */
export function accountGroups(namespace: string): string[] {
  return [ACCOUNTS_GROUP, `${ACCOUNTS_GROUP}:${namespace}`, AUTHENTICATED_GROUP]
}

export interface TokenAuthenticatorParts {
  readonly tokens: AccountTokens
  readonly informer: Informer
  readonly reads: Pick<ConsistentReads, 'current'>
  readonly clock: Clock
}

/** A bearer, and those of the audiences asked for that the token is for. */
export interface AuthenticationResult {
  readonly user: User
  readonly audiences: readonly string[]
}

export class TokenAuthenticator {
  readonly #parts: TokenAuthenticatorParts

  constructor(parts: TokenAuthenticatorParts) {
    this.#parts = parts
  }

  /**
   * Of a request to the API: the token must be for it. Undefined for a token of another issuer; Unauthenticated for one
   * that does not hold (any more).
   */
  async authenticate(token: string): Promise<User | undefined> {
    return (await this.review(token, [this.#parts.tokens.issuer]))?.user
  }

  /** The same for whoever asks: the token must be for one of these. */
  async review(token: string, audiences: readonly string[]): Promise<AuthenticationResult | undefined> {
    const verdict = this.#parts.tokens.verify(token)
    if (verdict.is === 'foreign') return undefined
    if (verdict.is === 'bad') throw refused(verdict.reason)
    const { token: verified } = verdict
    const shared = audiences.filter((audience) => verified.audiences.includes(audience))
    if (shared.length === 0)
      throw refused(`the token is for ${verified.audiences.join(', ')}, not for ${audiences.join(', ')}`)
    await this.#requireThere(verified.subject)
    return { user: userOf(verified), audiences: shared }
  }

  /**
   * What the cache does not show may have been made, or the token given out, a moment ago by another controller: the
   * store is asked then, and only then.
   */
  async #requireThere(subject: TokenSubject): Promise<void> {
    if (this.#missing(subject) === undefined) return
    await this.#parts.reads.current()
    const missing = this.#missing(subject)
    if (missing !== undefined) throw refused(missing)
  }

  /** What the token has ended with. */
  #missing({ namespace, account, pod, secret, node }: TokenSubject): string | undefined {
    if (!this.#isThere('ServiceAccount', namespace, account))
      return `its ServiceAccount ${namespace}/${account.name} is gone`
    if (pod !== undefined)
      return this.#isThere('Pod', namespace, pod)
        ? undefined
        : `the pod ${namespace}/${pod.name} that the token was made for is gone`
    if (secret !== undefined)
      return this.#isThere('Secret', namespace, secret)
        ? undefined
        : `the Secret ${namespace}/${secret.name} that the token was made for is gone`
    if (node !== undefined)
      return this.#isThere('Node', '', node) ? undefined : `the node ${node.name} that the token was made for is gone`
    return undefined
  }

  #isThere(kind: Kind, namespace: string, { name, uid }: BoundObject): boolean {
    const object: AnyResource | undefined = this.#parts.informer.lister(kind).get(namespace, name)
    if (object?.metadata.uid !== uid) return false
    const { deletionTimestamp } = object.metadata
    return (
      deletionTimestamp === undefined || this.#parts.clock.now() < parseTime(deletionTimestamp) + DELETION_LEEWAY_MS
    )
  }
}

/**
 * https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#additional-metadata-in-pod-bound-tokens
 */
function userOf({ id, subject: { namespace, account, pod, node } }: VerifiedToken): User {
  return {
    name: accountUser(namespace, account.name),
    uid: account.uid,
    groups: accountGroups(namespace),
    extra: {
      'authentication.kubernetes.io/credential-id': [`JTI=${id}`],
      ...(pod && { [POD_NAME]: [pod.name], 'authentication.kubernetes.io/pod-uid': [pod.uid] }),
      ...(node && {
        'authentication.kubernetes.io/node-name': [node.name],
        'authentication.kubernetes.io/node-uid': [node.uid],
      }),
    },
  }
}

function refused(why: string): GantryError {
  return new GantryError('Unauthenticated', why)
}
