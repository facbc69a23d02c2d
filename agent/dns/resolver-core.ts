/** The resolver's parts put together; lives in the resolver's thread. */
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { exchangeWith } from './exchange.ts'
import { ForwardCache } from './forward-cache.ts'
import { Forwarder } from './forwarder.ts'
import { Listeners } from './listeners.ts'
import { CLASS_IN, TYPE } from './message.ts'
import { LOOP_PROBE, Responder } from './responder.ts'
import { Upstreams, type Upstream } from './upstreams.ts'
import { wireName } from './wire-name.ts'
import type { ResolverCall, ResolverSettings, ResolverStats } from './worker-messages.ts'
import { Zone } from './zone.ts'

const CACHE_ENTRIES = 50_000
/** Milliseconds until a probe that was not answered is given up. */
const PROBE_TIMEOUT = 5000

export class ResolverCore {
  readonly #clock: Clock
  readonly #random: Random
  readonly #upstreams: Upstreams
  readonly #cache: ForwardCache
  readonly #forwarder: Forwarder
  readonly #responder: Responder
  readonly #listeners: Listeners
  readonly #own = new Set<string>()
  /** Servers by the name that each was asked for, which nobody else knows. */
  readonly #probes = new Map<string, Upstream>()
  readonly #probing = new Set<() => void>()
  #zone: Zone | undefined
  #building: Zone | undefined

  constructor({
    settings,
    clock,
    random,
    logger,
  }: {
    readonly settings: ResolverSettings
    readonly clock: Clock
    readonly random: Random
    readonly logger: Pick<Logger, 'info' | 'warn'>
  }) {
    this.#clock = clock
    this.#random = random
    this.#upstreams = new Upstreams({
      configured: settings.upstream,
      file: settings.resolvConf,
      own: () => this.#own,
      clock,
      logger,
      changed: (servers) => this.#probe(servers),
    })
    this.#cache = new ForwardCache({
      entries: CACHE_ENTRIES,
      bytes: settings.cacheBytes,
      stale: settings.serveStale * 1000,
    })
    this.#forwarder = new Forwarder({
      upstreams: this.#upstreams,
      cache: this.#cache,
      clock,
      exchange: exchangeWith(random),
    })
    this.#responder = new Responder({ clock, forwarder: this.#forwarder, looped: (token) => this.#looped(token) })
    this.#listeners = new Listeners(this.#responder, clock)
  }

  async call(call: ResolverCall): Promise<unknown> {
    switch (call.kind) {
      case 'listen':
        this.#own.clear()
        for (const { address } of call.endpoints) this.#own.add(address)
        this.#upstreams.refresh()
        return this.#listeners.listen(call.endpoints)
      case 'zone':
        return this.#tell(call)
      case 'stats':
        return this.#stats()
      case 'stop':
        this.#forwarder.stop()
        for (const end of [...this.#probing]) end()
        return this.#listeners.close()
      default:
        return call satisfies never
    }
  }

  #tell({ begin, set, commit }: Extract<ResolverCall, { kind: 'zone' }>): void {
    if (begin !== undefined) this.#building = new Zone(begin)
    const another = this.#building !== undefined
    const zone = this.#building ?? this.#zone
    if (zone === undefined) throw new Error('no zone has been begun')
    for (const [source, records] of set) zone.set(source, records)
    if (commit === undefined) return
    zone.revision = commit
    this.#zone = zone
    this.#building = undefined
    // What concerns no name lets what was answered stand.
    if (another || set.length > 0) this.#responder.use(zone)
  }

  #stats(): ResolverStats {
    return {
      ...this.#responder.counts,
      ...this.#forwarder.counts,
      ...this.#listeners.counts,
      revision: this.#zone?.revision ?? 0,
      cached: this.#cache.size,
      cachedBytes: this.#cache.bytes,
      flights: this.#forwarder.flights,
    }
  }

  /**
   * Asks each server for a name that only it is told: if that question comes to us, what it cannot answer it asks us.
   */
  #probe(servers: readonly Upstream[]): void {
    for (const end of [...this.#probing]) end()
    this.#probes.clear()
    const ask = exchangeWith(this.#random)
    for (const server of servers) {
      const token = Array.from({ length: 16 }, () => Math.floor(this.#random.next() * 16).toString(16)).join('')
      this.#probes.set(token, server)
      const end = (): void => {
        cancel()
        timer.cancel()
        this.#probing.delete(end)
      }
      const cancel = ask(
        server,
        { name: wireName(token) + LOOP_PROBE, type: TYPE.TXT, class: CLASS_IN, secure: false, checkingDisabled: false },
        () => end(),
      )
      const timer = this.#clock.after(PROBE_TIMEOUT, end)
      this.#probing.add(end)
    }
  }

  #looped(token: string): void {
    const server = this.#probes.get(token)
    if (server !== undefined) this.#upstreams.loops(server)
  }
}
