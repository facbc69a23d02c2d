/**
 * Questions that are for others: answered from the cache, else asked of the node's servers, equal ones once.
 *
 *   ask ──▶ cache ──▶ under way? ──▶ flight: server 1 ──0.7 s──▶ server 2 ──1 s──▶ … ──▶ cache, everybody who waits
 *                                    └─ nothing after 1.8 s, or nobody answers: what was known before (RFC 8767), else
 * SERVFAIL
 *
 * How many flights there are, and how many of one client's questions wait, is bounded: beyond that SERVFAIL is said at
 * once.
 */
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { AnswerCallback, Exchange } from './exchange.ts'
import type { CachedAnswer, ForwardCache } from './forward-cache.ts'
import { emptyAnswer, RCODE, renderQuestion, HEADER, type Answer, type Question } from './message.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

export interface ForwardResult {
  readonly answer: Answer
  /** Milliseconds of the monotonic clock: when it was made, and how long it may be given again. */
  readonly stored: number
  readonly expires: number
  /** It is too old; its times to live are to be this many seconds. */
  readonly staleTtl?: number
}

export interface ForwardLimits {
  /** Flights at once. */
  readonly flights: number
  /** Questions of one client that wait at once. */
  readonly perClient: number
}

const FORWARD_LIMITS: ForwardLimits = { flights: 1000, perClient: 200 }
/** Milliseconds after which the next server is asked too, and how many askings there are in all at most. */
const RETRY_INTERVALS_MS = [700, 1000, 1300]
/** Milliseconds to the end: a client that waits 5 s gets an answer, if only this. */
const QUERY_TIMEOUT_MS = 4500
/**
 * RFC 8767, 5: a client is not let wait longer than this while something old is at hand, and that is given for 30 s.
 */
const STALE_ANSWER_DELAY_MS = 1800
const STALE_TTL = 30

interface Waiter {
  readonly client: string
  readonly done: (forwarded: ForwardResult) => void
}

interface InFlightQuery {
  readonly question: Question
  readonly key: string
  readonly waiters: Waiter[]
  readonly servers: readonly Upstream[]
  /** Tries that have no answer yet: how to end each. An answer that comes late is as good. */
  readonly asked: Map<number, () => void>
  readonly timers: Set<Timer>
  tries: number
  /** What was known before has been given to those who waited. */
  staleServed: boolean
  /** The best of the answers that are none. */
  failure: Answer | undefined
}

export interface ForwarderCounts {
  cacheHits: number
  staleAnswers: number
  forwarded: number
  upstreamQueries: number
  upstreamFailures: number
  refusedForLimits: number
}

export class Forwarder {
  readonly #upstreams: Upstreams
  readonly #cache: ForwardCache
  readonly #clock: Clock
  readonly #exchange: Exchange
  readonly #limits: ForwardLimits
  readonly #flights = new Map<string, InFlightQuery>()
  readonly #waiting = new Map<string, number>()
  readonly counts: ForwarderCounts = {
    cacheHits: 0,
    staleAnswers: 0,
    forwarded: 0,
    upstreamQueries: 0,
    upstreamFailures: 0,
    refusedForLimits: 0,
  }

  constructor(parts: {
    readonly upstreams: Upstreams
    readonly cache: ForwardCache
    readonly clock: Clock
    readonly exchange: Exchange
    readonly limits?: ForwardLimits
  }) {
    this.#upstreams = parts.upstreams
    this.#cache = parts.cache
    this.#clock = parts.clock
    this.#exchange = parts.exchange
    this.#limits = parts.limits ?? FORWARD_LIMITS
  }

  get flights(): number {
    return this.#flights.size
  }

  /** `done` is called exactly once, perhaps at once. */
  forward(question: Question, client: string, done: (forwarded: ForwardResult) => void): void {
    const now = this.#clock.monotonic()
    const key = questionKey(question)
    const cached = this.#cache.get(key, now)
    if (cached !== undefined && now < cached.expires) {
      this.counts.cacheHits++
      return done(cached)
    }
    const waiting = this.#waiting.get(client) ?? 0
    const known = this.#flights.get(key)
    if (cached !== undefined && (known?.staleServed === true || now < (cached.recheck ?? 0)))
      return done(this.#stale(cached))
    if (waiting >= this.#limits.perClient || (known === undefined && this.#flights.size >= this.#limits.flights)) {
      this.counts.refusedForLimits++
      return done(this.#failure(question, cached, now))
    }
    this.#waiting.set(client, waiting + 1)
    this.counts.forwarded++
    if (known !== undefined) return void known.waiters.push({ client, done })
    const flight: InFlightQuery = {
      question,
      key,
      waiters: [{ client, done }],
      servers: this.#upstreams.get(),
      asked: new Map(),
      timers: new Set(),
      tries: 0,
      staleServed: false,
      failure: undefined,
    }
    this.#flights.set(key, flight)
    if (cached !== undefined)
      this.#after(flight, STALE_ANSWER_DELAY_MS, () => {
        flight.staleServed = true
        this.#tell(flight, this.#stale(cached))
      })
    this.#after(flight, QUERY_TIMEOUT_MS, () => this.#end(flight, undefined))
    this.#next(flight)
  }

  /** Whoever waits gets SERVFAIL. */
  stop(): void {
    for (const flight of [...this.#flights.values()]) this.#end(flight, undefined)
  }

  /** Asks the next server; when there is none and nobody is waited for, that is the end. */
  #next(flight: InFlightQuery): void {
    const { servers } = flight
    const server = servers[flight.tries % Math.max(1, servers.length)]
    if (
      server === undefined ||
      flight.tries > RETRY_INTERVALS_MS.length ||
      (flight.tries >= servers.length && flight.failure !== undefined)
    ) {
      if (flight.asked.size === 0) this.#end(flight, undefined)
      return
    }
    const pause = RETRY_INTERVALS_MS[flight.tries++]
    const { tries } = flight
    this.counts.upstreamQueries++
    const done: AnswerCallback = (answer) => {
      flight.asked.delete(tries)
      this.#heard(flight, server, answer)
    }
    flight.asked.set(tries, this.#exchange(server, flight.question, done))
    if (pause === undefined) return
    this.#after(flight, pause, () => {
      if (flight.asked.has(tries)) this.#upstreams.failed(server)
      if (flight.tries === tries) this.#next(flight)
    })
  }

  #heard(flight: InFlightQuery, server: Upstream, answer: Answer | undefined): void {
    if (this.#flights.get(flight.key) !== flight) return
    if (answer !== undefined && (answer.rcode === RCODE.NOERROR || answer.rcode === RCODE.NXDOMAIN)) {
      this.#upstreams.answered(server)
      return this.#end(flight, answer)
    }
    this.counts.upstreamFailures++
    if (answer === undefined) this.#upstreams.failed(server)
    flight.failure ??= answer ?? emptyAnswer(questionBytes(flight.question), RCODE.SERVFAIL)
    this.#next(flight)
  }

  #end(flight: InFlightQuery, answer: Answer | undefined): void {
    if (this.#flights.get(flight.key) !== flight) return
    this.#flights.delete(flight.key)
    for (const timer of flight.timers) timer.cancel()
    for (const cancel of flight.asked.values()) cancel()
    const now = this.#clock.monotonic()
    if (answer !== undefined) {
      const entry = { answer, stored: now, expires: now + answer.ttl * 1000 }
      if (answer.ttl > 0) this.#cache.put(flight.key, entry)
      return this.#tell(flight, entry)
    }
    const known = this.#cache.get(flight.key, now)
    if (known !== undefined) {
      this.#cache.put(flight.key, { ...known, recheck: now + RECHECK_MILLIS })
      return this.#tell(flight, this.#stale(known))
    }
    const failure = flight.failure ?? emptyAnswer(questionBytes(flight.question), RCODE.SERVFAIL)
    const entry = { answer: failure, stored: now, expires: now + FAILURE_MILLIS }
    this.#cache.put(flight.key, entry)
    this.#tell(flight, entry)
  }

  #tell(flight: InFlightQuery, forwarded: ForwardResult): void {
    for (const { client, done } of flight.waiters.splice(0)) {
      const left = this.#waiting.get(client)! - 1
      if (left === 0) this.#waiting.delete(client)
      else this.#waiting.set(client, left)
      done(forwarded)
    }
  }

  #failure(question: Question, cached: CachedAnswer | undefined, now: number): ForwardResult {
    return cached === undefined
      ? { answer: emptyAnswer(questionBytes(question), RCODE.SERVFAIL), stored: now, expires: now }
      : this.#stale(cached)
  }

  #stale(cached: CachedAnswer): ForwardResult {
    this.counts.staleAnswers++
    const now = this.#clock.monotonic()
    return { answer: cached.answer, stored: now, expires: now, staleTtl: STALE_TTL }
  }

  #after(flight: InFlightQuery, millis: number, call: () => void): void {
    const timer = this.#clock.after(millis, () => {
      flight.timers.delete(timer)
      call()
    })
    flight.timers.add(timer)
  }
}

/** How long what was known before is given at once, after nobody has answered (RFC 8767, 5: failure recheck timer). */
const RECHECK_MILLIS = 5000
/**
 * How long it is remembered that nobody answered (RFC 2308, 7.2): who asks again at once does not start everything
 * anew.
 */
const FAILURE_MILLIS = 1000

function questionKey({ name, type, class: of, secure, checkingDisabled }: Question): string {
  return `${name}\0${type} ${of} ${secure ? 1 : 0}${checkingDisabled ? 1 : 0}`
}

function questionBytes(question: Question): Buffer {
  return renderQuestion(question, 0, false).subarray(HEADER)
}
