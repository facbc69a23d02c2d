/**
 * The door: every request of every face comes by here. It is authorized, then answered by what the AuthorizedRequest
 * lets its face do (admission stands within the API core, which sees the object), counted, and audited.
 *
 *     face: decode ──▶ handle(info, work) ── Authorizer ──▶ work(AuthorizedRequest) ──▶ face: encode
 *                          │ Auditor.received                        │ RequestCounter, Auditor.completed
 */
import type { Registry } from 'prom-client'
import { GantryError } from '../../proto/base/errors.ts'
import type { KnownKinds } from '../../proto/schema/kind-registry.ts'
import type { ObjectApi } from '../api/contract.ts'
import { forbidden, type Authorizer } from '../authorization/authorizer.ts'
import { isController } from '../authorization/groups.ts'
import { noAudit, type Auditor, type RequestOutcome } from './audit.ts'
import { AuthorizedRequest, type RequestParts } from './authorized-request.ts'
import type { Backends, NodeBackend, PodBackend } from './backends.ts'
import { CustomDefinitions } from './custom-definitions.ts'
import { ObjectReader, type ReaderParts } from './object-reader.ts'
import { RequestCounter } from './request-counter.ts'
import type { RequestInfo } from './request-info.ts'
import { StoreHealth } from './store-health.ts'
import { Watches } from './watches.ts'

export interface RequestsParts extends ReaderParts {
  readonly authorizer: Authorizer
  /** Default: none. */
  readonly auditor?: Auditor
  readonly registry: Registry
  readonly api: ObjectApi
  readonly pods: PodBackend
  readonly nodes: NodeBackend
  readonly backends: Backends
}

const DONE: RequestOutcome = { code: 'OK' }

export class Requests {
  /** What kinds there are: faces look up those that requests name. */
  readonly kinds: KnownKinds
  /** For those who tell what is served. */
  readonly definitions: CustomDefinitions
  /** For those who tell whether anything can be served. */
  readonly health: StoreHealth
  /** Decides about every request; also asked by reviews, which are about what somebody may do. */
  readonly authorizer: Authorizer
  readonly #auditor: Auditor
  readonly #counter: RequestCounter
  readonly #parts: RequestParts

  constructor(parts: RequestsParts) {
    const { authorizer, auditor = noAudit, registry, api, pods, nodes, backends } = parts
    this.kinds = parts.informer.kinds
    this.definitions = new CustomDefinitions(parts.informer)
    this.health = new StoreHealth(parts)
    this.authorizer = authorizer
    this.#auditor = auditor
    this.#counter = new RequestCounter(registry)
    const [reader, watches] = [new ObjectReader(parts), new Watches(parts)]
    this.#parts = { authorizer, api, reader, watches, pods, nodes, backends }
  }

  /**
   * What `work` makes of the request; Forbidden, and `work` is not called, for who may not. All of a face's work for a
   * request belongs into `work`, decoding what it carries too: what is refused there is counted and audited as well.
   */
  async handle<T>(info: RequestInfo, work: (request: AuthorizedRequest) => Promise<T>): Promise<T> {
    const end = this.#begin(info)
    try {
      const request = this.#authorized(info, end)
      const answer = await work(request)
      if (!request.isWatch) end(DONE)
      return answer
    } catch (thrown) {
      end(failed(thrown))
      throw thrown
    }
  }

  /** As `handle`, for an answer that comes piece by piece: the request is over when the last piece is taken. */
  async *stream<T>(
    info: RequestInfo,
    work: (request: AuthorizedRequest) => AsyncIterable<T> | Promise<AsyncIterable<T>>,
  ): AsyncGenerator<T, void, undefined> {
    const end = this.#begin(info)
    try {
      yield* await work(this.#authorized(info, end))
    } catch (thrown) {
      // A caller who goes away has what was wanted of the stream.
      end(GantryError.is(thrown, 'Cancelled') ? DONE : failed(thrown))
      throw thrown
    } finally {
      end(DONE)
    }
  }

  #begin(info: RequestInfo): (outcome: RequestOutcome) => void {
    this.#auditor.received(info)
    const series = this.#counter.begin(info)
    let over = false
    return (outcome) => {
      if (over) return
      over = true
      this.#counter.end(series, outcome)
      this.#auditor.completed(info, outcome)
    }
  }

  #authorized(info: RequestInfo, end: (outcome: RequestOutcome) => void): AuthorizedRequest {
    const forwarded = info.forwarded === true && isController(info.user)
    if (info.open !== true && !forwarded) {
      const decision = this.#parts.authorizer.decide(info)
      if (!decision.allowed) throw forbidden(info, decision.reason)
    }
    return new AuthorizedRequest(info, forwarded, this.#parts, () => end(DONE))
  }
}

function failed(thrown: unknown): RequestOutcome {
  const error = GantryError.from(thrown)
  return { code: error.code, error }
}
