/**
 * The door: every request of every face comes by here. It waits for its seat, is authorized, then answered by what the
 * AuthorizedRequest lets its face do (admission stands within the API core, which sees the object), counted, and
 * audited.
 *
 *     face: decode ──▶ handle(info, …, work) ─ SeatAllocator ─ Authorizer ──▶ work(AuthorizedRequest) ──▶ face: encode
 *                          │ Auditor.received                                      │ RequestCounter, Auditor.completed
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
import { FairQueue } from './fairness/fair-queue.ts'
import { SeatAllocator, type PriorityLevels } from './fairness/seat-allocator.ts'
import { ObjectReader, type ReaderParts } from './object-reader.ts'
import { OpenRequest } from './open-request.ts'
import { RequestCounter } from './request-counter.ts'
import { isLongRunning, type Exchange, type RequestInfo } from './request-info.ts'
import { StoreHealth } from './store-health.ts'
import { Watches } from './watches.ts'

export interface RequestsParts extends ReaderParts {
  readonly authorizer: Authorizer
  /** Default: none. */
  readonly auditor?: Auditor
  /** How many requests of a user may be under way. */
  readonly priorityLevels?: PriorityLevels
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
  /** Whose work begins next, for a face whose work for a request comes in pieces. */
  readonly turns: FairQueue
  readonly #seats: SeatAllocator
  readonly #auditor: Auditor
  readonly #counter: RequestCounter
  readonly #parts: RequestParts

  constructor(parts: RequestsParts) {
    const { authorizer, auditor = noAudit, registry, api, pods, nodes, backends } = parts
    this.kinds = parts.informer.kinds
    this.definitions = new CustomDefinitions(parts.informer)
    this.health = new StoreHealth(parts)
    this.authorizer = authorizer
    this.turns = new FairQueue(parts.clock)
    this.#seats = new SeatAllocator(parts.priorityLevels)
    this.#auditor = auditor
    this.#counter = new RequestCounter(registry)
    const [reader, watches] = [new ObjectReader(parts), new Watches(parts)]
    this.#parts = { authorizer, api, reader, watches, pods, nodes, backends }
  }

  /**
   * What `work` makes of the request; Forbidden, and `work` is not called, for who may not; TooManyRequests for who has
   * too many under way. All of a face's work for a request belongs into `work`, decoding what it carries too: what is
   * refused there is counted and audited as well.
   */
  async handle<T>(info: RequestInfo, exchange: Exchange, work: (request: AuthorizedRequest) => Promise<T>): Promise<T> {
    const open = new OpenRequest(info, this.#auditor, this.#counter)
    try {
      const waiting = this.#seat(open, exchange)
      if (waiting !== undefined) await waiting
      const request = this.#authorized(open)
      const answer = await work(request)
      if (!request.isWatch) open.end(DONE)
      return answer
    } catch (thrown) {
      open.end(failed(thrown))
      throw thrown
    }
  }

  /** As `handle`, for an answer that comes piece by piece: the request is over when the last piece is taken. */
  async *stream<T>(
    info: RequestInfo,
    exchange: Exchange,
    work: (request: AuthorizedRequest) => AsyncIterable<T> | Promise<AsyncIterable<T>>,
  ): AsyncGenerator<T, void, undefined> {
    const open = new OpenRequest(info, this.#auditor, this.#counter)
    try {
      const waiting = this.#seat(open, exchange)
      if (waiting !== undefined) await waiting
      yield* await work(this.#authorized(open))
    } catch (thrown) {
      // A caller who goes away has what was wanted of the stream. A node can say "Cancelled", too.
      open.end(exchange.signal.aborted && GantryError.is(thrown, 'Cancelled') ? DONE : failed(thrown))
      throw thrown
    } finally {
      open.end(DONE)
    }
  }

  /**
   * Undefined for a request that may begin at once; otherwise resolves when it has its seat and it is its user's turn.
   * Rejects with the reason of the signal if the caller has gone by then, or has been told that the server stops:
   * nothing was begun, and nothing is to be begun any more. What another controller has let in has its seat there, and
   * takes none of that controller's own here: users together could take all of them. TooManyRequests.
   */
  #seat(open: OpenRequest, exchange: Exchange): Promise<void> | undefined {
    const { user } = open.info
    const key = SeatAllocator.keyOf(user, exchange)
    const seat = isForwarded(open.info) ? undefined : this.#seats.take(key, user, isLongRunning(open.info), exchange)
    if (seat !== undefined && !(seat instanceof Promise)) hold(open, exchange, seat)
    const waiting =
      seat instanceof Promise
        ? seat.then((release) => {
            hold(open, exchange, release)
            return this.turns.waitTurn(key)
          })
        : this.turns.waitTurn(key)
    return waiting?.then(() => exchange.signal.throwIfAborted())
  }

  #authorized(open: OpenRequest): AuthorizedRequest {
    const { info } = open
    const forwarded = isForwarded(info)
    if (info.open !== true && !forwarded) {
      const decision = this.#parts.authorizer.decide(info)
      if (!decision.allowed) throw forbidden(info, decision.reason)
    }
    return new AuthorizedRequest(info, forwarded, this.#parts, () => open.end(DONE))
  }
}

/** Whether another controller, by its certificate, has let the request in. */
function isForwarded({ forwarded, user }: RequestInfo): boolean {
  return forwarded === true && isController(user)
}

function hold(open: OpenRequest, exchange: Exchange, release: () => void): void {
  if (exchange.holdSeat === undefined) open.holdSeat(release)
  else exchange.holdSeat(release)
}

function failed(thrown: unknown): RequestOutcome {
  const error = GantryError.from(thrown)
  return { code: error.code, error }
}
