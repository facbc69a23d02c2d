/**
 * A request of a probe or a hook over HTTP, with the rules of Kubernetes for redirects. One connection each, closed at
 * the end.
 */
import { Agent, request as requestPlain, type IncomingMessage } from 'node:http'
import { Agent as SecureAgent, request as requestSecure } from 'node:https'
import type { HTTPHeader } from '../../../proto/gen/types.ts'

export interface HttpRequest {
  readonly scheme: 'HTTP' | 'HTTPS'
  readonly host: string
  readonly port: number
  readonly path: string
  readonly headers: readonly HTTPHeader[]
  readonly userAgent: string
}

export interface HttpProbeResponse {
  readonly status: number
  /** Its begin: at most READ_LIMIT bytes. */
  readonly body: string
}

/** Bytes that are read of an answer at most, as Kubernetes does. */
export const READ_LIMIT = 10 * 1024
const MAX_REDIRECTS = 10
const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308])

export class HttpProber {
  // Nobody proves who it is: a probe asks whether there is an answer, over whatever certificate.
  readonly #agents = {
    plain: new Agent({ keepAlive: false }),
    secure: new SecureAgent({ keepAlive: false, rejectUnauthorized: false, maxCachedSessions: 0 }),
  }

  /**
   * The last answer: that of a redirect if it leads to another host, which is not followed. Rejects when there is no
   * answer, after more than ten redirects, and with the signal's reason when it is aborted.
   */
  async request(request: HttpRequest, signal: AbortSignal): Promise<HttpProbeResponse> {
    const first = urlOf(request)
    const headers = headersOf(request)
    let url = first
    for (let followed = 0; ; followed++) {
      const { status, body, location } = await this.#exchange(url, headers, signal)
      if (location === undefined || !REDIRECT_STATUSES.has(status)) return { status, body }
      const next = new URL(location, url)
      if (next.hostname !== first.hostname || !/^https?:$/.test(next.protocol)) return { status, body }
      if (followed + 1 >= MAX_REDIRECTS) throw new Error(`stopped after ${MAX_REDIRECTS} redirects`)
      url = next
    }
  }

  #exchange(
    url: URL,
    headers: Record<string, string | string[]>,
    signal: AbortSignal,
  ): Promise<HttpProbeResponse & { readonly location: string | undefined }> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error)
      const secure = url.protocol === 'https:'
      const started = (secure ? requestSecure : requestPlain)(url, {
        agent: secure ? this.#agents.secure : this.#agents.plain,
        headers,
      })
      const abort = (): void => end(() => reject(signal.reason as Error))
      let ended = false
      const end = (settle: () => void): void => {
        if (ended) return
        ended = true
        signal.removeEventListener('abort', abort)
        started.destroy()
        settle()
      }
      signal.addEventListener('abort', abort, { once: true })
      started.on('error', (error) => end(() => reject(error)))
      started.once('response', (response) => {
        response.on('error', (error) => end(() => reject(error)))
        readBody(response, (body) =>
          end(() => resolve({ status: response.statusCode ?? 0, body, location: response.headers.location })),
        )
      })
      started.end()
    })
  }
}

function readBody(response: IncomingMessage, done: (body: string) => void): void {
  const chunks: Buffer[] = []
  let size = 0
  const finish = (): void => done(Buffer.concat(chunks).subarray(0, READ_LIMIT).toString())
  response.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
    if (size >= READ_LIMIT) finish()
  })
  response.once('end', finish)
}

/** For people, too: as it stands in messages. */
export function urlOf({ scheme, host, port, path }: Pick<HttpRequest, 'scheme' | 'host' | 'port' | 'path'>): URL {
  return new URL(
    `${scheme.toLowerCase()}://${host.includes(':') ? `[${host}]` : host}:${port}${path.startsWith('/') ? '' : '/'}${path}`,
  )
}

/** Those given win; User-Agent and Accept can be taken away by giving them empty. */
function headersOf({ headers, userAgent }: HttpRequest): Record<string, string | string[]> {
  const all = new Map<string, string[]>([
    ['user-agent', [userAgent]],
    ['accept', ['*/*']],
  ])
  const given = new Set<string>()
  for (const { name, value = '' } of headers) {
    const key = name.toLowerCase()
    if (!given.has(key)) all.delete(key)
    given.add(key)
    if (value !== '' || (key !== 'user-agent' && key !== 'accept')) all.set(key, [...(all.get(key) ?? []), value])
  }
  return Object.fromEntries([...all].map(([name, values]) => [name, values.length === 1 ? values[0]! : values]))
}
