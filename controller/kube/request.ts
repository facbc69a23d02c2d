/** An HTTP request, before and after it is known whose it is. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { User } from '../api/contract.ts'
import type { InFlightRequest } from './in-flight-request.ts'
import type { KubeRequest } from './contract.ts'
import type { FairQueue } from '../requests/fairness/fair-queue.ts'
import { SeatAllocator } from '../requests/fairness/seat-allocator.ts'
import { HttpError } from './status.ts'
import type { ParsedYaml } from './yaml/parse.ts'
import type { YamlReader } from './yaml/yaml-reader.ts'

/** Bytes of a body, as Kubernetes has it. */
const BODY_LIMIT = 3 * 1024 * 1024
/**
 * Characters of all warnings together, and of each: they are sent as headers.
 * https://kubernetes.io/blog/2020/09/03/warnings/
 */
const WARNINGS_LIMIT = 4096
const WARNING_LIMIT = 256

/** What all requests share. */
export interface Shared {
  readonly turns: FairQueue
  readonly yaml: YamlReader
}

export class IncomingRequest implements KubeRequest {
  readonly method: string
  readonly url: string
  /** Percent-encoded. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly warnings: string[] = []
  /** Nobody, until the caller is known. */
  user: User = { name: '', groups: [] }
  objectName?: string
  // Not private to the language: the router hands on objects that have this one as prototype.
  protected readonly message: IncomingMessage
  protected readonly call: InFlightRequest
  protected bytes: Promise<Buffer> | undefined
  protected parsed: URLSearchParams | undefined

  protected readonly shared: Shared

  constructor(message: IncomingMessage, call: InFlightRequest, shared: Shared) {
    const { method = 'GET', url = '/', headers } = message
    const mark = url.indexOf('?')
    this.method = method
    this.url = url
    this.path = mark === -1 ? url : url.slice(0, mark)
    this.headers = headers
    this.message = message
    this.call = call
    this.shared = shared
  }

  get query(): URLSearchParams {
    return (this.parsed ??= new URLSearchParams(this.url.slice(this.path.length + 1)))
  }

  get peer(): string {
    const { remoteAddress = '', remotePort = 0 } = this.message.socket
    return `${remoteAddress}:${remotePort}`
  }

  get signal(): AbortSignal {
    return this.call.signal
  }

  /** The request keeps its seat until its answer is out: an answer that its client does not read is still held. */
  holdSeat(release: () => void): void {
    this.call.holdSeat(release)
  }

  body(limit = BODY_LIMIT): Promise<Buffer> {
    return (this.bytes ??= this.inTurn(readBody(this.message, limit)))
  }

  parseYaml(text: string): Promise<ParsedYaml> {
    return this.call.race(this.shared.yaml.read(text, this.seat))
  }

  /** For whom its work counts. Known once the caller is. */
  get seat(): string {
    return SeatAllocator.keyOf(this.user, this)
  }

  turn(): Promise<void> | undefined {
    return this.shared.turns.waitTurn(this.seat)
  }

  /** What has come is worked on when it is the caller's turn. */
  protected async inTurn(body: Promise<Buffer>): Promise<Buffer> {
    const bytes = await body
    await this.turn()
    return bytes
  }

  warn(text: string): void {
    const cut = text.length > WARNING_LIMIT ? `${text.slice(0, WARNING_LIMIT - 3)}...` : text
    const known = this.warnings.reduce((sum, { length }) => sum + length, 0)
    if (!this.warnings.includes(cut) && known + cut.length <= WARNINGS_LIMIT) this.warnings.push(cut)
  }
}

/** Rejects too if the caller goes away before the end of it. */
function readBody(message: IncomingMessage, limit: number): Promise<Buffer> {
  const tooLarge = (): HttpError =>
    new HttpError(
      413,
      'RequestEntityTooLarge',
      `Request entity too large: limit is ${limit} bytes`,
      'ResourceExhausted',
    )
  return new Promise((resolve, reject) => {
    if (Number(message.headers['content-length'] ?? 0) > limit) return reject(tooLarge())
    const chunks: Buffer[] = []
    let size = 0
    message.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > limit) {
        message.pause()
        chunks.length = 0
        return reject(tooLarge())
      }
      chunks.push(chunk)
    })
    message.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    message.on('error', reject)
  })
}
