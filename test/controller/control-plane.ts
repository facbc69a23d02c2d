/** A control plane in one process for tests: memory store, watch cache and API core, with the `default` namespace. */
import { ConsistentReads } from '../../controller/api/consistent-reads.ts'
import { createParticipants } from '../../controller/participants.ts'
import { ObjectRegistry, type ObjectRegistryOptions } from '../../controller/api/objects.ts'
import { StoreInformer } from '../../controller/informer/informer.ts'
import type { Store } from '../../controller/store/contract.ts'
import { GroupCommit } from '../../controller/store/group-commit.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { systemClock, type Clock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom, type Random } from '../../proto/base/random.ts'

interface ControlPlaneOptions {
  readonly clock: Clock
  readonly random: Random
  /** What the API core is made of beside its own. */
  readonly core?: Partial<ObjectRegistryOptions>
  /** The store is closed with the control plane. */
  readonly ownsStore?: boolean
}

export class ControlPlane<S extends Store = MemoryStore> {
  readonly store: S
  readonly informer: StoreInformer
  readonly reads: ConsistentReads
  readonly api: ObjectRegistry
  readonly random: Random
  readonly clock: Clock
  readonly #ownsStore: boolean
  readonly #stop = new AbortController()
  readonly #running: Promise<void>

  private constructor(store: S, { clock, random, core = {}, ownsStore = false }: ControlPlaneOptions) {
    this.store = store
    this.random = random
    this.#ownsStore = ownsStore
    this.clock = clock
    this.informer = new StoreInformer({ store, clock, random, logger: silentLogger })
    this.reads = new ConsistentReads(store, this.informer)
    const { informer, reads } = this
    this.api = new ObjectRegistry({
      reads,
      participants: createParticipants(this),
      informer,
      commits: new GroupCommit(store),
      clock,
      random,
      ...core,
    })
    this.#running = informer.run(this.#stop.signal)
  }

  static async start(clock: Clock = systemClock, core: Partial<ObjectRegistryOptions> = {}): Promise<ControlPlane> {
    const plane = new ControlPlane(new MemoryStore(clock), { clock, random: seededRandom(1), core, ownsStore: true })
    await plane.informer.synced()
    await plane.api.create({ kind: 'Namespace', metadata: { name: 'default' } }, { fieldManager: 'test' })
    return plane
  }

  /** One more over a store, which stays open: each needs random numbers of its own, as their uids are made of them. */
  static async over<S extends Store>(store: S, clock: Clock, random: Random): Promise<ControlPlane<S>> {
    const plane = new ControlPlane(store, { clock, random })
    await plane.informer.synced()
    return plane
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
    this.informer.kinds.close()
    if (this.#ownsStore) await this.store.close()
  }
}
