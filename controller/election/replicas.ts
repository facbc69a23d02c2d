/**
 * Which controllers there are: each keeps a key with its address in the store, under a lease that ends soon after it
 * does. So the others know whom a node's session or a question for the leader can be asked of, and which of them are
 * gone.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay } from '../../proto/base/backoff.ts'
import { elapsed, type Clock, type Timer } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { Entry, Store } from '../store/contract.ts'

/** `/gantry-controllers/NAME` → JSON `{"address":"HOST:PORT","kube":"HOST:PORT"}`. */
export const REPLICAS_PREFIX = '/gantry-controllers/'

/** Seconds from a controller's last renewal until it is no longer present. */
const LEASE_SECONDS = 5
const RENEW_MILLIS = 1000
/**
 * Milliseconds since the last renewal was asked for after which a controller counts as cut off from the store: before
 * the others take it for gone.
 */
const PARTITION_TIMEOUT_MS = 3000
const RETRY = { first: 100, max: 1000 }

/** Who is there, as this controller last heard from the store: while the store is away nothing changes. */
export interface Replicas {
  /**
   * True while the controller of this name runs and reaches the store; false at the latest some 6 s after that ended,
   * at once after a clean stop.
   */
  present(name: string): boolean
  /** host:port at which a present controller serves. */
  addressOf(name: string): string | undefined
  /** host:port at which each present controller serves the Kubernetes API, by its name. */
  kubeAddresses(): ReadonlyMap<string, string>
  /**
   * Calls with the name of each controller that comes, goes, or serves elsewhere than before; answers with the call
   * that ends it.
   */
  on(change: (name: string) => void): () => void
  /**
   * True while this controller does not reach the store, or the store has no majority, for 3 s or more: it can neither
   * write nor know what is true, and others will take its place.
   */
  readonly isPartitioned: boolean
  /** Calls each time that this controller is cut off; answers with the call that ends it. */
  onPartitioned(call: () => void): () => void
  /** Announces this controller and follows the others until the signal is aborted; then it is no longer present. */
  run(signal: AbortSignal): Promise<void>
}

export interface ReplicasOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** This controller's name, and host:port where the others and nodes reach it. */
  readonly name: string
  readonly address: string
  /** host:port where it serves the Kubernetes API. Asked when `run` is called. */
  readonly kubeAddress: () => string
}

interface Replica {
  readonly address: string
  /** '' for one of an older version. */
  readonly kube: string
  readonly revision: number
}

export class StoreReplicas implements Replicas {
  readonly #options: ReplicasOptions
  readonly #key: string
  readonly #listeners = new Set<(name: string) => void>()
  readonly #cutOffListeners = new Set<() => void>()
  #cutOff = false
  #deadline: Timer | undefined
  #present: ReadonlyMap<string, Replica> = new Map()
  /** Revision of this controller's own last announcement; 0 before there is one. */
  #announcedAt = 0

  constructor(options: ReplicasOptions) {
    this.#options = options
    this.#key = REPLICAS_PREFIX + options.name
  }

  present(name: string): boolean {
    return this.#present.has(name)
  }

  addressOf(name: string): string | undefined {
    return this.#present.get(name)?.address
  }

  kubeAddresses(): ReadonlyMap<string, string> {
    return new Map([...this.#present].flatMap(([name, { kube }]) => (kube === '' ? [] : [[name, kube]])))
  }

  on(change: (name: string) => void): () => void {
    this.#listeners.add(change)
    return () => void this.#listeners.delete(change)
  }

  get isPartitioned(): boolean {
    return this.#cutOff
  }

  onPartitioned(call: () => void): () => void {
    this.#cutOffListeners.add(call)
    return () => void this.#cutOffListeners.delete(call)
  }

  async run(signal: AbortSignal): Promise<void> {
    const group = new RunGroup(signal)
    this.#reached(this.#options.clock.monotonic())
    group.add((end) => this.#follow(end))
    group.add((end) => this.#announce(end))
    try {
      await group.wait()
    } finally {
      this.#deadline?.cancel()
    }
  }

  /** The store has answered what was asked at that time. */
  #reached(asked: number): void {
    const { clock, logger } = this.#options
    if (this.#cutOff) logger.info('the store is reached again')
    this.#cutOff = false
    this.#deadline?.cancel()
    this.#deadline = clock.after(asked + PARTITION_TIMEOUT_MS - clock.monotonic(), () => {
      this.#cutOff = true
      logger.error('cut off from the store: nothing is served until it is reached again')
      for (const call of [...this.#cutOffListeners]) call()
    })
  }

  /** Keeps the own key, under one lease after the other. */
  async #announce(signal: AbortSignal): Promise<void> {
    const { store, clock, random, logger, address, kubeAddress } = this.#options
    const value = Buffer.from(JSON.stringify({ address, kube: kubeAddress() }))
    for (let failures = 0; !signal.aborted;) {
      let leaseId: string | undefined
      const asked = clock.monotonic()
      try {
        leaseId = await store.grantLease(LEASE_SECONDS)
        // In the place of a key that a former run has left.
        const result = await store.commit([{ kind: 'put', key: this.#key, value, expect: { is: 'any' }, leaseId }])
        if (result.outcome !== 'committed')
          throw new GantryError('Internal', `the store answered ${result.outcome} to an unconditional write`)
        this.#announcedAt = result.revision
        failures = 0
        this.#reached(asked)
        await this.#renew(leaseId, signal)
      } catch (error) {
        if (!GantryError.is(error, 'Unavailable', 'NotFound')) throw error
        logger.warn({ err: error }, 'cannot announce this controller now')
        failures++
      } finally {
        if (leaseId !== undefined) await this.#revoke(leaseId)
      }
      if (failures > 0) await elapsed(clock, backoffDelay(RETRY, failures, random), signal)
    }
  }

  /** Until the lease is gone or the signal aborted. */
  async #renew(leaseId: string, signal: AbortSignal): Promise<void> {
    const { store, clock, logger } = this.#options
    let pause = RENEW_MILLIS
    while (await elapsed(clock, pause, signal)) {
      const asked = clock.monotonic()
      try {
        if (!(await store.keepLease(leaseId)))
          return logger.warn("the lease of this controller's presence has ended: announcing it again")
        this.#reached(asked)
        // From question to question: a store whose answers take long must not be asked the more rarely.
        pause = Math.max(0, asked + RENEW_MILLIS - clock.monotonic())
      } catch (error) {
        if (!GantryError.is(error, 'Unavailable')) throw error
        logger.warn({ err: error }, 'cannot renew the presence of this controller now')
        pause = RETRY.first
      }
    }
  }

  /** The key goes at once. Where the store cannot be reached the lease runs out by itself. */
  async #revoke(leaseId: string): Promise<void> {
    try {
      await this.#options.store.revokeLease(leaseId)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'cannot take back the presence of this controller: it ends by itself')
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { store, clock, random, logger } = this.#options
    for (let failures = 0; !signal.aborted;) {
      try {
        const { entries, revision } = await store.list(REPLICAS_PREFIX)
        this.#see(new Map(entries.map((entry) => [nameOf(entry), replicaOf(entry)])))
        failures = 0
        for await (const batch of store.watch(REPLICAS_PREFIX, revision, signal)) {
          const present = new Map(this.#present)
          for (const { type, entry } of batch.events) {
            if (type === 'put') present.set(nameOf(entry), replicaOf(entry))
            else present.delete(nameOf(entry))
          }
          this.#see(present)
        }
      } catch (error) {
        if (signal.aborted) return
        if (!GantryError.is(error, 'Unavailable', 'Expired')) throw error
        logger.warn({ err: error }, 'cannot follow which controllers there are')
        await elapsed(clock, backoffDelay(RETRY, ++failures, random), signal)
      }
    }
  }

  #see(present: ReadonlyMap<string, Replica>): void {
    const before = this.#present
    this.#present = present
    this.#checkName()
    for (const name of new Set([...before.keys(), ...present.keys()])) {
      const [was, is] = [before.get(name), present.get(name)]
      if (was?.address === is?.address && was?.kube === is?.kube) continue
      for (const listener of [...this.#listeners]) listener(name)
    }
  }

  /** Two controllers of one name would each be taken for the other. */
  #checkName(): void {
    const { name, address, logger } = this.#options
    const own = this.#present.get(name)
    if (own === undefined || this.#announcedAt === 0 || own.revision <= this.#announcedAt || own.address === address)
      return
    logger.error(
      { name, other: own.address, remedy: 'give each controller a name of its own (setting name)' },
      "another controller has this one's name",
    )
  }
}

function nameOf({ key }: Entry): string {
  return key.slice(REPLICAS_PREFIX.length)
}

function replicaOf({ value, revision }: Entry): Replica {
  const { address, kube = '' } = JSON.parse(Buffer.from(value).toString()) as { address: string; kube?: string }
  return { address, kube, revision }
}
