/**
 * The node's names: keeps the resolver's thread, its address and its firewall rules, and tells it what the views say.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { CommandResult } from '../../proto/base/command.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Run } from '../host/launcher.ts'
import type { NetworkChange, NetworkReconciler, NetworkView } from '../network/contract.ts'
import { nodeCommands } from '../network/node-commands.ts'
import type { ZoneRecord } from './encode.ts'
import { DNS_ADDRESS, DNS_LINK, DNS_PORT, DNS_TABLE, dnsFirewall, resolverAddresses } from './node-link.ts'
import { ServiceRecordIndex, type ZoneChange } from './service-record-index.ts'
import { Resolver, type ResolverOptions } from './resolver.ts'
import type { ResolverSettings, ResolverStats } from './worker-messages.ts'

export interface NodeDnsOptions {
  readonly run: Run
  readonly logger: Logger
  readonly clock: Clock
  readonly settings: ResolverSettings
  /** A thread of its own if undefined. */
  readonly startResolver?: (options: ResolverOptions) => ResolverHandle
}

/** What of a Resolver is used. */
export type ResolverHandle = Pick<Resolver, 'listen' | 'zone' | 'stats' | 'stop'>

/** Services whose records are made and told at once: between, the agent does other things. */
const SERVICES_PER_BATCH = 500
/** Milliseconds to the first and, doubling, to the last try to have a thread again. */
const RESTART_BACKOFF = { first: 100, last: 5000 }

export class NodeDns implements NetworkReconciler {
  readonly name = 'dns'
  readonly confirmsRevision = false
  readonly #options: NodeDnsOptions
  readonly #book = new ServiceRecordIndex()
  #resolver: ResolverHandle | undefined
  #view: NetworkView | undefined
  /** Ranges that the zone and the listeners are for; '' while the resolver does not have everything. */
  #ranges = ''
  /** `apply`, and what is done when the thread has ended, one after the other. */
  #turn: Promise<void> = Promise.resolve()
  #restartTimer: Timer | undefined
  #failures = 0
  #stopped = false

  constructor(options: NodeDnsOptions) {
    this.#options = options
  }

  apply(view: NetworkView, change: NetworkChange): Promise<void> {
    return this.#inTurn(() => this.#apply(view, change))
  }

  /** The link and its rules stay: clients of an agent that is begun anew wait instead of failing. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#restartTimer?.cancel()
    await this.#inTurn(async () => {
      await this.#resolver?.stop()
      this.#resolver = undefined
    })
  }

  tables(): readonly string[] {
    return this.#ranges === '' ? [] : [`inet ${DNS_TABLE}`]
  }

  /** undefined: there is no resolver now. */
  async stats(): Promise<ResolverStats | undefined> {
    return this.#resolver?.stats()
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined) // whoever asked for it is told
    return done
  }

  async #apply(view: NetworkView, change: NetworkChange): Promise<void> {
    if (this.#stopped) return
    this.#view = view
    const ranges = JSON.stringify(view.ranges)
    if (!change.complete && this.#resolver !== undefined && ranges === this.#ranges)
      return this.#sendChanges(view, change)
    this.#ranges = ''
    await this.#prepareNode(resolverAddresses(view.ranges), view.ranges.cluster.podCidrs)
    const resolver = (this.#resolver ??= this.#begin())
    // The names first: who is heard is to be answered.
    await this.#sendAll(resolver, view)
    await resolver.listen(resolverAddresses(view.ranges).map((address) => ({ address, port: DNS_PORT })))
    this.#ranges = ranges
    this.#failures = 0
  }

  async #sendChanges(view: NetworkView, change: NetworkChange): Promise<void> {
    const set = [...this.#book.changed(view, change)]
    try {
      await this.#resolver!.zone({ set, commit: view.revision })
    } catch (thrown) {
      this.#ranges = '' // what the zone has is not known: the next time it is told everything
      throw thrown
    }
  }

  async #sendAll(resolver: ResolverHandle, view: NetworkView): Promise<void> {
    const { domain, podCidrs, serviceCidrs } = view.ranges.cluster
    await resolver.zone({
      begin: { domain, podCidrs, serviceCidrs, address: resolverAddresses(view.ranges)[0]! },
      set: [],
    })
    for (const set of portions(this.#book.all(view))) await resolver.zone({ set })
    await resolver.zone({ set: [], commit: view.revision })
  }

  #begin(): ResolverHandle {
    const {
      settings,
      logger,
      startResolver: begin = (options: ResolverOptions): ResolverHandle => new Resolver(options),
    } = this.#options
    const resolver: ResolverHandle = begin({
      settings,
      logger,
      ended: (cause) => {
        if (this.#resolver !== resolver) return
        this.#resolver = undefined
        logger.warn({ err: cause }, 'the resolver has ended and is begun anew')
        this.#restartLater()
      },
    })
    return resolver
  }

  #restartLater(): void {
    if (this.#stopped) return
    const delay = Math.min(RESTART_BACKOFF.last, RESTART_BACKOFF.first * 2 ** this.#failures++)
    this.#restartTimer?.cancel()
    this.#restartTimer = this.#options.clock.after(delay, () => {
      this.#inTurn(async () => {
        if ((this.#resolver === undefined || this.#ranges === '') && this.#view !== undefined)
          await this.#apply(this.#view, { complete: true, keys: new Set() })
      }).catch((thrown: unknown) => {
        this.#options.logger.warn({ err: GantryError.from(thrown) }, 'the resolver cannot be begun')
        this.#restartLater()
      })
    })
  }

  async #prepareNode(addresses: readonly string[], podCidrs: readonly string[]): Promise<void> {
    const shown = await this.#ip(['-json', 'addr', 'show', 'dev', DNS_LINK], [0, 1])
    if (shown.code !== 0) {
      // A kernel without dummy links has bridges: one without ports is as good a place for an address.
      const made = await this.#ip(['link', 'add', DNS_LINK, 'type', 'dummy'], [0, 1, 2])
      if (made.code !== 0) await this.#ip(['link', 'add', DNS_LINK, 'type', 'bridge'])
    }
    const [link] = shown.code === 0 ? (JSON.parse(shown.stdout) as { addr_info?: { local: string }[] }[]) : []
    if (link?.addr_info?.some(({ local }) => local === DNS_ADDRESS) !== true)
      await this.#ip(['addr', 'add', `${DNS_ADDRESS}/32`, 'dev', DNS_LINK])
    await this.#ip(['link', 'set', DNS_LINK, 'up'])
    await nodeCommands(this.#options.run, undefined).nft(dnsFirewall(addresses, podCidrs))
  }

  #ip(args: readonly string[], allow: readonly number[] = [0]): Promise<CommandResult> {
    return this.#options.run('ip', args, { allow })
  }
}

function* portions(changes: ZoneChange): Generator<[string, readonly ZoneRecord[]][]> {
  let portion: [string, readonly ZoneRecord[]][] = []
  for (const [source, records] of changes) {
    if (records.length > 0) portion.push([source, records])
    if (portion.length < SERVICES_PER_BATCH) continue
    yield portion
    portion = []
  }
  if (portion.length > 0) yield portion
}
