/**
 * From a query's bytes to its answer's: what was answered before by comparing bytes, the zone's names at once, all
 * others through the forwarder.
 *
 *   packet ──▶ the same bytes before? ──yes──▶ copy, new id
 *                 └─no─▶ take apart ──▶ zone ──▶ encode ──▶ keep
 *                                        └─ not ours ──▶ forwarder ──▶ keep
 */
import * as dnsPacket from 'dns-packet'
import type { Clock } from '../../proto/base/clock.ts'
import { encodeAnswer, type ZoneRecord } from './encode.ts'
import type { ForwardResult, Forwarder } from './forwarder.ts'
import { ResponseCache } from './response-cache.ts'
import {
  CLASS_IN,
  emptyAnswer,
  parseQuery,
  RCODE,
  render,
  renderMalformed,
  scanResponse,
  TCP_SIZE,
  TYPE,
  udpLimit,
  wholeMessage,
  type Answer,
  type Query,
  type Question,
} from './message.ts'
import { isAtOrBelow, labelsOf, splitName, textName, wireName } from './wire-name.ts'
import { ZONE_TTL, type Zone } from './zone.ts'

/** Below it are names that only a server that asks us back would ask us. */
export const LOOP_PROBE = wireName('gantry-loop.internal')
const LOCALHOST = wireName('localhost')
/** Longer queries are rare, and would fill the memory. */
const MAX_CACHED_QUERY_BYTES = 320

export type Transport = 'udp' | 'tcp'

export interface ResponderCounts {
  queries: number
  /** Answered from what was answered before. */
  responseCacheHits: number
  zone: number
  malformed: number
  ignored: number
  refused: number
}

export class Responder {
  readonly #clock: Clock
  readonly #forwarder: Forwarder
  readonly #looped: (token: string) => void
  readonly #responseCache = new ResponseCache()
  #zone: Zone | undefined
  #generation = 0
  #turn = 0
  readonly counts: ResponderCounts = { queries: 0, responseCacheHits: 0, zone: 0, malformed: 0, ignored: 0, refused: 0 }

  /** `looped` is told the first label of a probe that came back. */
  constructor(parts: {
    readonly clock: Clock
    readonly forwarder: Forwarder
    readonly looped: (token: string) => void
  }) {
    this.#clock = parts.clock
    this.#forwarder = parts.forwarder
    this.#looped = parts.looped
  }

  /** The zone is another, or says something else: whatever was kept is made anew. */
  use(zone: Zone): void {
    this.#zone = zone
    this.#generation++
  }

  /**
   * `reply` is called once, unless the answer is false: the packet deserves none. `client` is who shares a bound with
   * whom: the source address.
   */
  handle(packet: Buffer, transport: Transport, client: string, reply: (response: Buffer) => void): boolean {
    this.counts.queries++
    const now = this.#clock.monotonic()
    const key =
      transport === 'udp' && packet.length <= MAX_CACHED_QUERY_BYTES && packet.length > 2
        ? packet.toString('latin1', 2)
        : undefined
    const kept = key === undefined ? undefined : this.#responseCache.get(key)
    if (kept !== undefined && kept.generation === this.#generation && now < kept.expires) {
      this.counts.responseCacheHits++
      const { answer, query, limit, stored } = kept
      const response = render(answer, query, limit, { age: Math.floor((now - stored) / 1000), first: this.#turn++ })
      response[0] = packet[0]!
      response[1] = packet[1]!
      reply(response)
      return true
    }
    const query = parseQuery(packet)
    if (query === undefined) {
      this.counts.ignored++
      return false
    }
    if ('malformed' in query) {
      this.counts.malformed++
      reply(renderMalformed(query))
      return true
    }
    const limit = transport === 'udp' ? udpLimit(query.edns) : TCP_SIZE
    this.#answer(query, client, ({ answer, stored, expires, staleTtl }) => {
      if (key !== undefined && expires > now && query.edns?.options !== true)
        this.#responseCache.put(key, { answer, query, limit, generation: this.#generation, stored, expires })
      const age = Math.max(0, Math.floor((this.#clock.monotonic() - stored) / 1000))
      reply(
        render(answer, query, limit, {
          age,
          first: this.#turn++,
          ...(staleTtl === undefined ? {} : { ttl: staleTtl }),
        }),
      )
    })
    return true
  }

  #answer(query: Query, client: string, done: (forwarded: ForwardResult) => void): void {
    const refusal = refusalOf(query)
    if (refusal !== undefined) {
      this.counts.refused++
      return done(once(emptyAnswer(query.question, refusal)))
    }
    const finding = this.#zone?.find(query.name, query.type)
    if (finding?.kind === 'found') {
      this.counts.zone++
      return done(this.#lasting(encodeAnswer(query.question, finding.sections, ZONE_TTL)))
    }
    if (finding?.kind === 'chase') return this.#chase(query, finding.records, finding.target, client, done)
    if (isAtOrBelow(query.name, LOCALHOST)) return done(this.#lasting(localhost(query)))
    if (isAtOrBelow(query.name, LOOP_PROBE)) {
      this.#looped(splitName(query.name)!.label)
      return done(once(emptyAnswer(query.question, RCODE.NXDOMAIN)))
    }
    // Before the first view nothing is known of the cluster, but its names are nobody else's: the client is to ask
    // again.
    if (this.#zone === undefined) return done(once(emptyAnswer(query.question, RCODE.SERVFAIL)))
    this.#forwarder.forward(questionOf(query, query.name), client, done)
  }

  /** The aliases, and what others know of the name that they end at. */
  #chase(
    query: Query,
    records: readonly ZoneRecord[],
    target: string,
    client: string,
    done: (forwarded: ForwardResult) => void,
  ): void {
    this.#forwarder.forward(questionOf(query, target), client, (forwarded) => {
      const now = this.#clock.monotonic()
      const age = Math.max(0, Math.floor((now - forwarded.stored) / 1000))
      const answer = joined(
        query,
        records,
        forwarded.answer,
        forwarded.staleTtl ?? age,
        forwarded.staleTtl !== undefined,
      )
      done({ answer, stored: now, expires: Math.max(now, Math.min(forwarded.expires, now + ZONE_TTL * 1000)) })
    })
  }

  /** Kept until the zone changes: times to live in the zone do not run out. */
  #lasting(answer: Answer): ForwardResult {
    return { answer, stored: Infinity, expires: Infinity }
  }
}

function once(answer: Answer): ForwardResult {
  return { answer, stored: Infinity, expires: -Infinity }
}

function refusalOf({ edns, class: of, type }: Query): number | undefined {
  if (edns !== undefined && edns.version > 0) return RCODE.BADVERS
  if (of !== CLASS_IN || type === TYPE.AXFR || type === TYPE.IXFR || type === TYPE.OPT) return RCODE.REFUSED
  return undefined
}

function questionOf({ type, class: of, edns, checkingDisabled }: Query, name: string): Question {
  return { name, type, class: of, secure: edns?.secure === true, checkingDisabled }
}

/** RFC 6761, 6.3. */
function localhost(query: Query): Answer {
  const { name, type } = query
  const records: ZoneRecord[] =
    type === TYPE.A
      ? [{ name, type: 'A', data: '127.0.0.1' }]
      : type === TYPE.AAAA
        ? [{ name, type: 'AAAA', data: '::1' }]
        : []
  return encodeAnswer(
    query.question,
    { rcode: RCODE.NOERROR, answer: records, authority: [], additional: [] },
    ZONE_TTL,
  )
}

/** One message of our aliases and another server's records, written anew: in its message names are pointers. */
function joined(
  query: Query,
  records: readonly ZoneRecord[],
  answer: Answer,
  ageOrTtl: number,
  stale: boolean,
): Answer {
  const aliases = records.map((record): dnsPacket.Answer => ({
    type: 'CNAME',
    name: textName(record.name),
    ttl: ZONE_TTL,
    data: textName(record.data as string),
  }))
  const failed = answer.rcode !== RCODE.NOERROR && answer.rcode !== RCODE.NXDOMAIN
  try {
    const { answers = [], authorities = [] } = dnsPacket.decode(wholeMessage(answer))
    const aged = (record: dnsPacket.Answer): dnsPacket.Answer =>
      'ttl' in record
        ? { ...record, ttl: Math.min(ZONE_TTL, stale ? ageOrTtl : Math.max(0, (record.ttl ?? 0) - ageOrTtl)) }
        : record
    const name = labelsOf(query.name).join('.')
    const bytes = dnsPacket.encode({
      type: 'response',
      flags: answer.rcode,
      questions: [{ name, type: 'A' }],
      answers: failed ? [] : [...aliases, ...answers.map(aged)],
      authorities: failed ? [] : authorities.map(aged),
    })
    const scanned = scanResponse(bytes)
    if (scanned !== undefined && scanned.questionEnd === query.question.length + 12)
      return { ...scanned, rcode: answer.rcode, authoritative: false }
  } catch {
    // Records of a form that cannot be decoded: what the alias stands for is not known then.
  }
  return emptyAnswer(query.question, RCODE.SERVFAIL)
}
