/**
 * Tokens of ServiceAccounts: JSON Web Tokens (RFC 7519, RFC 7515) with the claims that Kubernetes gives them.
 * https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#service-account-admission-controller
 */
import type { Clock } from '../../proto/base/clock.ts'
import { randomUuid, type Random } from '../../proto/base/random.ts'
import type { SigningKey } from './signing-key.ts'

/** An object that a token names. */
export interface BoundObject {
  readonly name: string
  readonly uid: string
}

/** Whose a token is, and with what it ends. */
export interface TokenSubject {
  readonly namespace: string
  readonly account: BoundObject
  readonly pod?: BoundObject | undefined
  readonly secret?: BoundObject | undefined
  /** Of a pod: where it runs. Without a pod: the token ends with the node. */
  readonly node?: BoundObject | undefined
}

export interface IssuedToken {
  readonly token: string
  /** Milliseconds since 1970. */
  readonly issued: number
  readonly expires: number
}

/** What a token says, once its signature, issuer and time have been found good. */
export interface VerifiedToken {
  readonly subject: TokenSubject
  readonly audiences: readonly string[]
  /** Milliseconds since 1970. */
  readonly expires: number
  /** Unlike that of any other token. */
  readonly id: string
}

export type VerificationResult =
  | { readonly is: 'good'; readonly token: VerifiedToken }
  | { readonly is: 'foreign' }
  | { readonly is: 'bad'; readonly reason: string }

/** The claims as they stand in a token. */
interface Claims {
  readonly aud: readonly string[]
  readonly exp: number
  readonly iat: number
  readonly iss: string
  readonly jti: string
  readonly nbf: number
  readonly sub: string
  readonly 'kubernetes.io': {
    readonly namespace: string
    readonly serviceaccount: BoundObject
    readonly pod?: BoundObject
    readonly secret?: BoundObject
    readonly node?: BoundObject
  }
}

/** Tokens whose signature need not be looked at again. */
const VERIFIED_CACHE_SIZE = 1_000

const SUBJECT_PREFIX = 'system:serviceaccount:'

/** "system:serviceaccount:NAMESPACE:NAME": what an account is called as a user. */
export function accountUser(namespace: string, name: string): string {
  return `${SUBJECT_PREFIX}${namespace}:${name}`
}

/** Namespace and name of a user that is an account. */
export function accountOf(user: string): { readonly namespace: string; readonly name: string } | undefined {
  const [namespace, name, ...rest] = user.startsWith(SUBJECT_PREFIX) ? user.slice(SUBJECT_PREFIX.length).split(':') : []
  return namespace === undefined || name === undefined || namespace === '' || name === '' || rest.length > 0
    ? undefined
    : { namespace, name }
}

export interface AccountTokensParts {
  readonly key: SigningKey
  /** Such as "cluster.local". */
  readonly clusterDomain: string
  readonly clock: Clock
  readonly random: Random
}

export class AccountTokens {
  /** Who gives tokens out, and whom they are for unless somebody else is said: the API. */
  readonly issuer: string
  readonly #parts: AccountTokensParts
  readonly #header: string
  /** The oldest first. */
  readonly #verified = new Map<string, Claims>()

  constructor(parts: AccountTokensParts) {
    this.#parts = parts
    this.issuer = `https://kubernetes.default.svc.${parts.clusterDomain}`
    this.#header = encode({ alg: 'ES256', kid: parts.key.public.kid })
  }

  get keys(): readonly SigningKey['public'][] {
    return [this.#parts.key.public]
  }

  /** `audiences`: nobody named means the API. */
  issue(
    { namespace, account, pod, secret, node }: TokenSubject,
    audiences: readonly string[],
    seconds: number,
  ): IssuedToken {
    const { clock, random, key } = this.#parts
    const now = Math.floor(clock.now() / 1000)
    const claims: Claims = {
      aud: audiences.length === 0 ? [this.issuer] : audiences,
      exp: now + seconds,
      iat: now,
      iss: this.issuer,
      jti: randomUuid(random),
      'kubernetes.io': {
        namespace,
        ...(node && { node: only(node) }),
        ...(pod && { pod: only(pod) }),
        ...(secret && { secret: only(secret) }),
        serviceaccount: only(account),
      },
      nbf: now,
      sub: accountUser(namespace, account.name),
    }
    const text = `${this.#header}.${encode(claims)}`
    return { token: `${text}.${key.sign(text).toString('base64url')}`, issued: now * 1000, expires: claims.exp * 1000 }
  }

  /**
   * What a token says. `foreign`: it is not of this issuer, so that others may know it. Whether account and pod are
   * still there is not looked at.
   */
  verify(token: string): VerificationResult {
    const claims = this.#verified.get(token) ?? this.#read(token)
    if (claims === undefined) return { is: 'foreign' }
    if (typeof claims === 'string') return { is: 'bad', reason: claims }
    const now = this.#parts.clock.now() / 1000
    if (now >= claims.exp) return { is: 'bad', reason: 'the token has expired' }
    if (now < claims.nbf - SKEW) return { is: 'bad', reason: 'the token is not good yet' }
    this.#remember(token, claims)
    const { namespace, serviceaccount: account, pod, secret, node } = claims['kubernetes.io']
    return {
      is: 'good',
      token: {
        subject: { namespace, account, pod, secret, node },
        audiences: claims.aud,
        expires: claims.exp * 1000,
        id: claims.jti,
      },
    }
  }

  /** A string says what is wrong; undefined: not of this issuer. */
  #read(token: string): Claims | string | undefined {
    const [header, payload, signature, ...rest] = token.split('.')
    if (header === undefined || payload === undefined || signature === undefined || rest.length > 0) return undefined
    const claims = decode(payload) as Claims | undefined
    if (claims?.iss !== this.issuer) return undefined
    const { alg, kid } = (decode(header) ?? {}) as { alg?: unknown; kid?: unknown }
    const { key } = this.#parts
    if (alg !== 'ES256' || kid !== key.public.kid) return "the token is signed with a key that is not this cluster's"
    return key.verify(`${header}.${payload}`, Buffer.from(signature, 'base64url'))
      ? claims
      : "the token's signature is wrong"
  }

  #remember(token: string, claims: Claims): void {
    this.#verified.delete(token)
    this.#verified.set(token, claims)
    if (this.#verified.size > VERIFIED_CACHE_SIZE) this.#verified.delete(this.#verified.keys().next().value!)
  }
}

/** Seconds by which the clocks of two controllers may differ. */
const SKEW = 60

function only({ name, uid }: BoundObject): BoundObject {
  return { name, uid }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** Undefined for what is no JSON object. */
function decode(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    return typeof value === 'object' && value !== null ? value : undefined
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}
