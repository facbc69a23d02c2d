/**
 * Who we are to a registry: basic and bearer authentication. RFC 9110 section 11,
 * https://distribution.github.io/distribution/spec/auth/token/
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { Credential } from '../contract.ts'
import { readBody, type Transport } from './transport.ts'

export interface Challenge {
  /** Lower case: "basic", "bearer". */
  readonly scheme: string
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>
}

interface Token {
  readonly header: string
  /** On the clock's monotonic scale. */
  readonly expiresAt: number
}

/** What is asked for: the same question gets the same token while it lasts. */
export interface AccessScope {
  /** Base address of the endpoint. */
  readonly base: URL
  readonly repository: string
  readonly credential: Credential | undefined
}

/** A token without `expires_in` lasts 60 s, says the token specification. */
const DEFAULT_LIFETIME = 60
/** A token is not used in its last seconds. */
const MARGIN_MILLIS = 5_000
const MOST_TOKENS = 1_000

/** The challenges of a WWW-Authenticate header, in its order. Malformed ends are left out. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = []
  const pattern =
    /([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|([!#$%&'*+.^_`|~0-9A-Za-z-]+)/g
  for (const [, name, quoted, plain, scheme] of header.matchAll(pattern)) {
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} })
    else if (challenges.length > 0)
      challenges.at(-1)!.parameters[name!.toLowerCase()] = plain ?? quoted!.replace(/\\(.)/g, '$1')
  }
  return challenges
}

export class Authorization {
  readonly #transport: Transport
  readonly #clock: Clock
  readonly #tokens = new Map<string, Token>()

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport
    this.#clock = clock
  }

  /** The Authorization header that worked last for this access, if it still lasts. */
  known(access: AccessScope): string | undefined {
    const key = accessKey(access)
    const token = this.#tokens.get(key)
    if (token === undefined) return undefined
    if (token.expiresAt > this.#clock.monotonic()) return token.header
    this.#tokens.delete(key)
    return undefined
  }

  /**
   * A header that answers the challenge. Unauthenticated: it asks for credentials and there are none, or they are
   * refused.
   */
  async answer(access: AccessScope, header: string, signal: AbortSignal): Promise<string> {
    const challenges = parseChallenges(header)
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
    const basic = challenges.find(({ scheme }) => scheme === 'basic')
    const token =
      bearer !== undefined
        ? await this.#fetchToken(access, bearer, signal)
        : basic !== undefined
          ? basicToken(access)
          : undefined
    if (token === undefined)
      throw new GantryError(
        'Unauthenticated',
        `${access.base.host} asks for an authentication that is neither basic nor bearer: "${header}"`,
      )
    if (this.#tokens.size >= MOST_TOKENS) this.#tokens.delete(this.#tokens.keys().next().value!)
    this.#tokens.set(accessKey(access), token)
    return token.header
  }

  forget(access: AccessScope): void {
    this.#tokens.delete(accessKey(access))
  }

  async #fetchToken(access: AccessScope, { parameters }: Challenge, signal: AbortSignal): Promise<Token> {
    const { realm = '', service, scope = `repository:${access.repository}:pull` } = parameters
    if (!URL.canParse(realm))
      throw new GantryError(
        'Unauthenticated',
        `${access.base.host} names "${realm}" as its token service, which is no address`,
      )
    const url = new URL(realm)
    // Where plain HTTP is allowed to the token service's host, a password meant for HTTPS must not go there all the
    // same.
    if (access.base.protocol === 'https:' && url.protocol !== 'https:')
      throw new GantryError(
        'FailedPrecondition',
        `${access.base.host}, spoken to in HTTPS, names a token service that is not: ${url.origin}`,
      )
    if (service !== undefined) url.searchParams.set('service', service)
    for (const one of scope.split(' ')) url.searchParams.append('scope', one)
    const { credential } = access
    const headers = credential === undefined ? {} : { authorization: basicHeader(credential) }
    const response = await this.#transport.send({ method: 'GET', url, headers, signal })
    const body = await readBody(response, 1 << 20, `the answer of ${url.host}`)
    if (response.status === 401 || response.status === 403) throw unauthorizedError(access, url.host)
    if (response.status !== 200)
      throw new GantryError('Unavailable', `token service ${url.host} answers ${response.status}`)
    const answer = parseTokenAnswer(body, url.host)
    return {
      header: `Bearer ${answer.token}`,
      expiresAt: this.#clock.monotonic() + answer.lifetime * 1000 - MARGIN_MILLIS,
    }
  }
}

/** The error for a registry that lets nobody in, or not this user. */
export function unauthorizedError({ base, repository, credential }: AccessScope, host = base.host): GantryError {
  return new GantryError(
    'Unauthenticated',
    credential === undefined
      ? `${host} asks for credentials to read ${repository} (or there is no such repository)`
      : `${host} refuses user "${credential.username}" for ${repository}`,
  )
}

function parseTokenAnswer(body: Buffer, host: string): { token: string; lifetime: number } {
  let json: { token?: unknown; access_token?: unknown; expires_in?: unknown } | null
  try {
    json = JSON.parse(body.toString()) as typeof json
  } catch (cause) {
    throw new GantryError('Unavailable', `token service ${host} does not answer in JSON`, { cause })
  }
  const token = json?.token ?? json?.access_token
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))
    throw new GantryError('Unavailable', `token service ${host} answers without a token`)
  const lifetime = json?.expires_in
  return { token, lifetime: typeof lifetime === 'number' && lifetime > 0 ? lifetime : DEFAULT_LIFETIME }
}

function basicToken(access: AccessScope): Token {
  if (access.credential === undefined) throw unauthorizedError(access)
  return { header: basicHeader(access.credential), expiresAt: Infinity }
}

function basicHeader({ username, password }: Credential): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function accessKey({ base, repository, credential }: AccessScope): string {
  return JSON.stringify([base.href, repository, credential?.username, credential?.password])
}
