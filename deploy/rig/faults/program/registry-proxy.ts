/**
 * A registry's front that does to a share of the requests what failing registries do. The rest goes through as it is.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md
 */
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { pipeline, Transform } from 'node:stream'
import { elapsed, type Clock } from '../../../../proto/base/clock.ts'
import type { Random } from '../../../../proto/base/random.ts'
import { DelayLine } from './delay-line.ts'
import { listen } from './listening.ts'
import type { RegistryContent, RegistryTask } from './task.ts'

export interface RegistryProxyOptions {
  readonly clock: Clock
  readonly random: Random
}

/** What a request is about; undefined: neither, such as /v2/ or an upload. */
export function contentOf(path: string): RegistryContent | undefined {
  return /^\/v2\/[^?]+\/(blobs|manifests)\/[^/?]+(?:\?|$)/.exec(path)?.[1] as RegistryContent | undefined
}

export class RegistryProxy {
  readonly #task: RegistryTask
  readonly #options: RegistryProxyOptions
  readonly #server: Server
  readonly #stopping = new AbortController()

  constructor(task: RegistryTask, options: RegistryProxyOptions) {
    this.#task = task
    this.#options = options
    this.#server = createServer((incoming, outgoing) => void this.#serve(incoming, outgoing))
  }

  /** The port, once it is listened on. */
  start(): Promise<number> {
    return listen(this.#server, '0.0.0.0')
  }

  stop(): void {
    this.#stopping.abort()
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { fault, latency = 0 } = this.#task
    const struck = this.#strikes(incoming)
    if (struck && (fault === '429' || fault === '500')) return this.#refuse(incoming, outgoing)
    if (struck && fault === 'slow' && !(await elapsed(this.#options.clock, latency, this.#stopping.signal))) return
    this.#pass(incoming, outgoing, struck)
  }

  #strikes({ method, url = '' }: IncomingMessage): boolean {
    const { fault, only, share } = this.#task
    const content = contentOf(url)
    if (only !== undefined && content !== only) return false
    if ((fault === 'cut' || fault === 'wrong-digest') && (method !== 'GET' || content === undefined)) return false
    return this.#options.random.next() < share
  }

  #refuse(incoming: IncomingMessage, outgoing: ServerResponse): void {
    incoming.resume()
    const tooMany = this.#task.fault === '429'
    outgoing.writeHead(tooMany ? 429 : 500, {
      'content-type': 'application/json',
      ...(tooMany ? { 'retry-after': String(this.#task.retryAfter) } : {}),
    })
    outgoing.end(
      JSON.stringify({
        errors: [
          tooMany
            ? { code: 'TOOMANYREQUESTS', message: 'too many requests' }
            : { code: 'UNKNOWN', message: 'unknown error' },
        ],
      }),
    )
  }

  #pass(incoming: IncomingMessage, outgoing: ServerResponse, struck: boolean): void {
    const { host, port } = this.#task
    const onward = request({
      agent: false,
      host,
      port,
      method: incoming.method,
      path: incoming.url,
      headers: incoming.headers,
    })
    const cut = (): void => void outgoing.destroy()
    onward.on('error', cut)
    onward.on('response', (response) => {
      const strikes = struck && response.statusCode! < 300
      outgoing.writeHead(response.statusCode!, response.statusMessage, response.headers)
      if (strikes && this.#task.fault === 'cut') return void cutAt(middleOf(response), response, outgoing)
      pipeline([response, ...(strikes ? this.#stages(response) : []), outgoing], (error) => {
        if (error !== undefined && error !== null) cut()
      })
    })
    outgoing.on('close', () => onward.destroy())
    pipeline(incoming, onward, (error) => {
      if (error !== undefined && error !== null) cut()
    })
  }

  /** What the body of an answer passes through. */
  #stages(response: IncomingMessage): NodeJS.ReadWriteStream[] {
    const { fault, rate } = this.#task
    if (fault === 'slow' && rate !== undefined)
      return [new DelayLine({ rate }, this.#options.clock, this.#options.random)]
    return fault === 'wrong-digest' ? [alteredAt(middleOf(response))] : []
  }
}

function middleOf(response: IncomingMessage): number {
  return Math.floor(Number(response.headers['content-length'] ?? 0) / 2)
}

/** Lets so many bytes of the body through and ends the connection. */
function cutAt(bytes: number, response: IncomingMessage, outgoing: ServerResponse): void {
  let left = bytes
  const end = (): void => {
    response.destroy()
    outgoing.destroy()
  }
  outgoing.flushHeaders()
  response.on('error', end)
  response.on('end', end)
  response.on('data', (chunk: Buffer) => {
    const part = chunk.subarray(0, left)
    left -= part.length
    const room = outgoing.write(part, left === 0 ? end : undefined)
    if (room || left === 0) return
    response.pause()
    outgoing.once('drain', () => response.resume())
  })
}

/** Another byte at that place. */
function alteredAt(place: number): Transform {
  let passed = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const at = place - passed
      passed += chunk.length
      if (at < 0 || at >= chunk.length) return done(null, chunk)
      const altered = Buffer.from(chunk)
      altered[at]! ^= 0xff
      done(null, altered)
    },
  })
}
