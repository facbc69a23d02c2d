/**
 * A registry read through its endpoints: mirrors in order, then itself.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */
import type { Readable } from 'node:stream'
import { createHash } from 'node:crypto'
import { GantryError, type ErrorCode } from '../../../proto/base/errors.ts'
import { backoffDelay } from '../../../proto/base/backoff.ts'
import { delay, type Clock } from '../../../proto/base/clock.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { RegistriesConfig } from '../contract.ts'
import { Authorization, unauthorizedError, type AccessScope } from './authorization.ts'
import { endpoints, plainHosts, trustedFiles, type RegistryEndpoint, type Repository } from './endpoint.ts'
import { MANIFEST_TYPES } from './manifest.ts'
import { readBody, Transport, type HttpResponse, type TransportConfig } from './transport.ts'

export interface FetchedManifest {
  readonly digest: string
  readonly contentType: string
  readonly bytes: Buffer
}

export interface BlobBody {
  /** Where it comes from, for messages. */
  readonly host: string
  /** True if the body begins at the offset asked for; false if it begins at 0. */
  readonly resumed: boolean
  readonly stream: Readable
}

export interface RegistryClientOptions {
  readonly registries: RegistriesConfig
  readonly clock: Clock
  readonly random: Random
  readonly timeouts?: Pick<TransportConfig, 'connectTimeout' | 'stallTimeout'>
}

/** The specification asks registries to take manifests of 4 MiB; larger ones are not read. */
const LARGEST_MANIFEST = 4 << 20
const TRIES = 3
const RETRY = { first: 200, max: 5_000 }
/** Bytes of a blob that make a cut connection worth going on with. */
const MIN_RESUME_BYTES = 1 << 20
/** A registry that asks for a longer pause than this is left alone: the pod's own back-off tries again. */
const MAX_RETRY_AFTER_MS = 20_000

export class RegistryClient {
  readonly #options: RegistryClientOptions
  readonly #transport: Transport
  readonly #authorization: Authorization

  constructor(options: RegistryClientOptions) {
    this.#options = options
    this.#transport = new Transport(
      { plain: plainHosts(options.registries), ca: trustedFiles(options.registries), ...options.timeouts },
      options.clock,
    )
    this.#authorization = new Authorization(this.#transport, options.clock)
  }

  /** The digest that a tag stands for now. NotFound, Unauthenticated, Forbidden, Unavailable. */
  async resolveTag(repository: Repository, tag: string, signal: AbortSignal): Promise<string> {
    const path = `manifests/${tag}`
    const digest = await this.#read(repository, path, signal, async (endpoint) => {
      const response = await this.#request(endpoint, 'HEAD', path, manifestHeaders(), signal)
      response.body.resume()
      const header = response.headers['docker-content-digest']
      return typeof header === 'string' && header.startsWith('sha256:') ? header : ''
    })
    // A registry need not send the header on HEAD.
    return digest !== '' ? digest : (await this.manifest(repository, tag, signal)).digest
  }

  /**
   * A manifest or index by tag or digest; by digest its bytes are verified. Errors as `resolveTag`, and InvalidArgument
   * for a wrong digest.
   */
  manifest(repository: Repository, tagOrDigest: string, signal: AbortSignal): Promise<FetchedManifest> {
    const path = `manifests/${tagOrDigest}`
    return this.#read(repository, path, signal, async (endpoint) => {
      const response = await this.#request(endpoint, 'GET', path, manifestHeaders(), signal)
      const bytes = await readBody(response, LARGEST_MANIFEST, `manifest ${tagOrDigest}`)
      const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
      const expected = tagOrDigest.includes(':') ? tagOrDigest : digest
      if (digest !== expected)
        throw new GantryError(
          'InvalidArgument',
          `manifest ${expected} as sent by ${endpoint.base.host} has digest ${digest}`,
        )
      return { digest, contentType: response.headers['content-type'] ?? '', bytes }
    })
  }

  /**
   * Opens a blob at a byte offset. `consume` reads the body; what it throws counts as that endpoint's failure, and the
   * next one is tried.
   */
  blob<T>(
    repository: Repository,
    digest: string,
    offset: () => Promise<number>,
    consume: (body: BlobBody) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const path = `blobs/${digest}`
    return this.#read(repository, path, signal, async (endpoint) => {
      const from = await offset()
      const response = await this.#request(
        endpoint,
        'GET',
        path,
        { 'accept-encoding': 'identity', ...(from > 0 ? { range: `bytes=${from}-` } : {}) },
        signal,
      )
      const resumed =
        response.status === 206 && response.headers['content-range']?.startsWith(`bytes ${from}-`) === true
      if (response.status === 206 && !resumed) {
        response.body.destroy()
        throw new GantryError(
          'Unavailable',
          `${endpoint.base.host} answers the range from byte ${from} with "${response.headers['content-range'] ?? ''}"`,
        )
      }
      try {
        return await consume({ host: endpoint.base.host, resumed, stream: response.body })
      } catch (thrown) {
        const error = GantryError.from(thrown, 'Unavailable')
        throw error.code === 'Unavailable' ? new ConnectionLostError(error, (await offset()) - from) : error
      } finally {
        response.body.destroy()
      }
    })
  }

  close(): Promise<void> {
    return this.#transport.close()
  }

  /** Tries each endpoint. The registry's own error decides the code; the message tells what each said. */
  async #read<T>(
    repository: Repository,
    path: string,
    signal: AbortSignal,
    attempt: (endpoint: RegistryEndpoint) => Promise<T>,
  ): Promise<T> {
    const failures: { host: string; error: GantryError }[] = []
    for (const endpoint of endpoints(repository, this.#options.registries)) {
      try {
        return await this.#retry(endpoint, signal, attempt)
      } catch (thrown) {
        const error = GantryError.from(thrown, 'Unavailable')
        if (signal.aborted || FINAL_ERROR_CODES.has(error.code)) throw error
        failures.push({ host: endpoint.base.origin, error })
      }
    }
    const last = failures.at(-1)!
    const place = nameOf(`${repository.registry}/${repository.repository}`, path)
    throw new GantryError(
      last.error.code,
      `${place}: ${failures.map(({ host, error }) => (failures.length > 1 ? `${host}: ${error.message}` : error.message)).join('; ')}`,
      { cause: last.error },
    )
  }

  /**
   * A mirror that cannot be reached is passed over at once; the registry itself is tried again. Pauses that it asks for
   * are kept. A body that was cut is asked for again, without counting as a failure if enough of it came.
   */
  async #retry<T>(
    endpoint: RegistryEndpoint,
    signal: AbortSignal,
    attempt: (endpoint: RegistryEndpoint) => Promise<T>,
  ): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt(endpoint)
      } catch (thrown) {
        const error = GantryError.from(thrown, 'Unavailable')
        if (thrown instanceof ConnectionLostError && thrown.received >= MIN_RESUME_BYTES) failures = 1
        const last =
          failures >= TRIES ||
          (endpoint.mirror && !(thrown instanceof TooManyRequestsError || thrown instanceof ConnectionLostError))
        if (error.code !== 'Unavailable' || signal.aborted || last) throw error
        const pause =
          thrown instanceof TooManyRequestsError && thrown.pauseMillis !== undefined
            ? thrown.pauseMillis
            : backoffDelay(RETRY, failures, this.#options.random)
        if (pause > MAX_RETRY_AFTER_MS) throw error
        await delay(this.#options.clock, pause, signal)
      }
    }
  }

  /** One request, with authorization; any status but 200 and 206 becomes an error. */
  async #request(
    endpoint: RegistryEndpoint,
    method: 'GET' | 'HEAD',
    path: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const { base, repository, credential } = endpoint
    const access: AccessScope = { base, repository, credential }
    const url = new URL(`${endpoint.base.pathname.replace(/\/$/, '')}/v2/${repository}/${path}`, endpoint.base)
    let authorization = this.#authorization.known(access)
    for (let answered = false; ; answered = true) {
      const response = await this.#transport.send({
        method,
        url,
        headers: authorization === undefined ? headers : { ...headers, authorization },
        signal,
      })
      if (response.status === 200 || response.status === 206) return response
      if (response.status !== 401) throw await statusError(response, access, path, this.#options.clock)
      response.body.resume()
      this.#authorization.forget(access)
      const challenge = response.headers['www-authenticate']
      if (answered || challenge === undefined) throw unauthorizedError(access)
      authorization = await this.#authorization.answer(access, challenge, signal)
    }
  }
}

/** No other endpoint would do better. */
const FINAL_ERROR_CODES: ReadonlySet<ErrorCode> = new Set(['Cancelled', 'ResourceExhausted', 'Internal'])

/** The registry is there and asks for patience: 429 or 5xx. */
class TooManyRequestsError extends GantryError {
  /** As its Retry-After says. */
  readonly pauseMillis: number | undefined

  constructor(message: string, pauseMillis: number | undefined) {
    super('Unavailable', message)
    this.pauseMillis = pauseMillis
  }
}

/** The connection ended within a body. */
class ConnectionLostError extends GantryError {
  /** Bytes that came and were kept. */
  readonly received: number

  constructor(cause: GantryError, received: number) {
    super('Unavailable', cause.message, { cause })
    this.received = received
  }
}

function manifestHeaders(): Record<string, string> {
  return { accept: MANIFEST_TYPES.join(', ') }
}

/** "app:v1", "app@sha256:…" or "blob sha256:… of app" for "manifests/v1", "manifests/sha256:…" and "blobs/sha256:…". */
function nameOf(repository: string, path: string): string {
  const [what, name = ''] = path.split('/')
  if (what === 'blobs') return `blob ${name} of ${repository}`
  return `${repository}${name.includes(':') ? '@' : ':'}${name}`
}

async function statusError(
  response: HttpResponse,
  { base, repository, credential }: AccessScope,
  path: string,
  clock: Clock,
): Promise<GantryError> {
  const said = registryMessage(await readBody(response, 64 << 10, `the answer of ${base.host}`))
  const detail = said === '' ? '' : ` (${said})`
  const { status } = response
  if (status === 404) return new GantryError('NotFound', `${base.host} has no ${nameOf(repository, path)}${detail}`)
  if (status === 403)
    return new GantryError(
      'Forbidden',
      `${base.host} forbids ${credential === undefined ? 'anonymous users' : `user "${credential.username}"`} to read ${repository}${detail}`,
    )
  if (status === 429 || status >= 500)
    return new TooManyRequestsError(
      `${base.host} answers ${status}${detail}`,
      retryAfter(response.headers['retry-after'], clock),
    )
  return new GantryError('FailedPrecondition', `${base.host} answers ${status} to ${nameOf(repository, path)}${detail}`)
}

/**
 * Codes and messages of an error body; '' if it is none.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
 */
function registryMessage(body: Buffer): string {
  const text = body.toString()
  if (!text.startsWith('{')) return ''
  try {
    const { errors } = JSON.parse(text) as { errors?: unknown }
    if (!Array.isArray(errors)) return ''
    return errors
      .map((error: { code?: unknown; message?: unknown }) =>
        [error.code, error.message].filter((part) => typeof part === 'string').join(': '),
      )
      .join('; ')
      .slice(0, 500)
  } catch (error) {
    // It is not the registry's own error body: the status speaks for itself.
    if (error instanceof SyntaxError || error instanceof TypeError) return ''
    throw error
  }
}

/** Milliseconds; RFC 9110 section 10.2.3: seconds or a date. */
function retryAfter(header: string | undefined, clock: Clock): number | undefined {
  if (header === undefined) return undefined
  const millis = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - clock.now()
  return Number.isFinite(millis) ? Math.max(0, millis) : undefined
}
