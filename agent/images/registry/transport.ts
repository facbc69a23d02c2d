/**
 * HTTP as registries need it: kept connections, deadlines for connecting and for silence, redirects, trust per host.
 */
import { readFile } from 'node:fs/promises'
import http, { type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import https from 'node:https'
import { rootCertificates } from 'node:tls'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'

export interface TransportConfig {
  /** Hosts ("name:port") that may be spoken to in plain HTTP. */
  readonly plain: ReadonlySet<string>
  /** Host → PEM file to trust for it, beside the public authorities. */
  readonly ca: Readonly<Record<string, string>>
  /** Milliseconds until a connection stands (default 10,000). */
  readonly connectTimeout?: number
  /** Milliseconds without a byte, in either direction (default 30,000). */
  readonly stallTimeout?: number
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD'
  readonly url: URL
  readonly headers: OutgoingHttpHeaders
  readonly signal: AbortSignal
}

export interface HttpResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Must be read to its end or destroyed. */
  readonly body: IncomingMessage
}

const MOST_REDIRECTS = 5

export class Transport {
  readonly #config: TransportConfig
  readonly #clock: Clock
  readonly #plainAgent = new http.Agent({ keepAlive: true, maxSockets: 16, maxFreeSockets: 4, timeout: 60_000 })
  readonly #secureAgents = new Map<string, Promise<https.Agent>>()

  constructor(config: TransportConfig, clock: Clock) {
    this.#config = config
    this.#clock = clock
  }

  /**
   * Sends a request and follows redirects, but none from HTTPS to HTTP; the Authorization header does not follow to
   * another origin (RFC 9110,
   * 15.4). Errors: Unavailable (unreachable, cut, silent for too long), FailedPrecondition (certificate not trusted, or
   * plain HTTP not allowed), Cancelled. Any status that is no redirect is an answer.
   */
  async send(request: HttpRequest): Promise<HttpResponse> {
    let { url, headers } = request
    for (let redirects = 0; ; redirects++) {
      const response = await this.#exchange({ ...request, url, headers })
      const location = response.headers.location
      if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) return response
      response.body.destroy()
      if (redirects === MOST_REDIRECTS)
        throw new GantryError('Unavailable', `${request.url.href} redirects more than ${MOST_REDIRECTS} times`)
      const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined
      if (next === undefined)
        throw new GantryError('Unavailable', `${url.href} redirects to "${location}", which is no address`)
      if (url.protocol === 'https:' && next.protocol === 'http:')
        throw new GantryError('FailedPrecondition', `${url.href} redirects from HTTPS to plain HTTP, at ${next.host}`)
      if (next.origin !== url.origin)
        headers = Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'))
      url = next
    }
  }

  /** Closes the connections kept. */
  async close(): Promise<void> {
    this.#plainAgent.destroy()
    for (const agent of await Promise.allSettled(this.#secureAgents.values()))
      if (agent.status === 'fulfilled') agent.value.destroy()
    this.#secureAgents.clear()
  }

  async #exchange({ method, url, headers, signal }: HttpRequest): Promise<HttpResponse> {
    if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      throw new GantryError('FailedPrecondition', `${url.href} is neither http nor https`)
    if (url.protocol === 'http:' && !this.#config.plain.has(url.host))
      throw new GantryError(
        'FailedPrecondition',
        `plain HTTP to ${url.host} is not allowed: name it in registries.insecure, or use HTTPS`,
      )
    const agent = url.protocol === 'http:' ? this.#plainAgent : await this.#secureAgent(url.host)
    const { connectTimeout = 10_000, stallTimeout = 30_000 } = this.#config
    return new Promise((resolve, reject) => {
      const sending = (url.protocol === 'http:' ? http : https).request(url, {
        method,
        agent,
        headers: { 'user-agent': 'gantry', ...headers },
      })
      let answer: IncomingMessage | undefined
      /** Whoever waits is told: for the answer, or for the rest of its body. */
      const fail = (error: GantryError): void => void (answer ?? sending).destroy(error)
      const connecting = this.#clock.after(connectTimeout, () =>
        fail(new GantryError('Unavailable', `${url.host} did not accept a connection within ${connectTimeout} ms`)),
      )
      const abort = (): void => fail(GantryError.from(signal.reason, 'Cancelled'))
      signal.addEventListener('abort', abort, { once: true })
      sending.on('socket', (socket) => {
        if (!socket.connecting) connecting.cancel()
        else socket.once(url.protocol === 'http:' ? 'connect' : 'secureConnect', () => connecting.cancel())
      })
      sending.setTimeout(stallTimeout, () =>
        fail(new GantryError('Unavailable', `${url.host} was silent for ${stallTimeout} ms`)),
      )
      sending.on('error', (error) => {
        if (answer === undefined) reject(connectionError(error, url))
        else answer.destroy(connectionError(error, url))
      })
      sending.on('close', () => {
        connecting.cancel()
        signal.removeEventListener('abort', abort)
      })
      sending.on('response', (body) => {
        answer = body
        resolve({ status: body.statusCode!, headers: body.headers, body })
      })
      sending.end()
    })
  }

  #secureAgent(host: string): Promise<https.Agent> {
    let agent = this.#secureAgents.get(host)
    if (agent === undefined) {
      agent = this.#openSecureAgent(host)
      this.#secureAgents.set(host, agent)
      agent.catch(() => this.#secureAgents.delete(host)) // a file that can be read later is tried again
    }
    return agent
  }

  async #openSecureAgent(host: string): Promise<https.Agent> {
    const file = this.#config.ca[host]
    const options: https.AgentOptions = { keepAlive: true, maxSockets: 16, maxFreeSockets: 4, timeout: 60_000 }
    if (file === undefined) return new https.Agent(options)
    try {
      return new https.Agent({ ...options, ca: [...rootCertificates, await readFile(file, 'utf8')] })
    } catch (cause) {
      throw new GantryError('FailedPrecondition', `certificates of registry ${host}: ${(cause as Error).message}`, {
        cause,
      })
    }
  }
}

/** Reads a body whole; more than `limit` bytes is Unavailable: it is not what was asked for. */
export async function readBody(response: HttpResponse, limit: number, name: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > limit) throw new GantryError('Unavailable', `${name} is larger than ${limit} bytes`)
      chunks.push(chunk)
    }
  } catch (error) {
    throw GantryError.from(error, 'Unavailable')
  }
  return Buffer.concat(chunks)
}

const CERTIFICATE_ERRORS = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

function connectionError(error: Error, url: URL): GantryError {
  if (error instanceof GantryError) return error
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (CERTIFICATE_ERRORS.has(code))
    return new GantryError(
      'FailedPrecondition',
      `certificate of ${url.host} is not trusted: ${error.message}; name its authority in registries.ca`,
      { cause: error },
    )
  const reason =
    error.message === '' && error instanceof AggregateError
      ? error.errors.map((one: Error) => one.message).join('; ')
      : error.message
  return new GantryError('Unavailable', `cannot reach ${url.host}: ${reason}`, { cause: error })
}
