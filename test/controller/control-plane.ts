/** A control plane in one process for tests: memory store, watch cache and API core, with the `default` namespace. */
import { ConsistentReads } from '../../controller/api/consistent-reads.ts'
import { createParticipants } from '../../controller/participants.ts'
import { ObjectRegistry, type ObjectRegistryOptions } from '../../controller/api/objects.ts'
import { StoreInformer } from '../../controller/informer/informer.ts'
import { GroupCommit } from '../../controller/store/group-commit.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { systemClock, type Clock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'

export class ControlPlane {
  readonly store: MemoryStore
  readonly informer: StoreInformer
  readonly reads: ConsistentReads
  readonly api: ObjectRegistry
  readonly random = seededRandom(1)
  readonly #stop = new AbortController()
  readonly #running: Promise<void>

  private constructor(clock: Clock, core: Partial<ObjectRegistryOptions>) {
    this.store = new MemoryStore(clock)
    this.informer = new StoreInformer({ store: this.store, clock, random: this.random, logger: silentLogger })
    this.reads = new ConsistentReads(this.store, this.informer)
    this.api = new ObjectRegistry({
      reads: this.reads,
      participants: createParticipants(this),
      informer: this.informer,
      commits: new GroupCommit(this.store),
      clock,
      random: this.random,
      ...core,
    })
    this.#running = this.informer.run(this.#stop.signal)
  }

  static async start(clock: Clock = systemClock, core: Partial<ObjectRegistryOptions> = {}): Promise<ControlPlane> {
    const plane = new ControlPlane(clock, core)
    await plane.informer.synced()
    await plane.api.create({ kind: 'Namespace', metadata: { name: 'default' } }, { fieldManager: 'test' })
    return plane
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
    this.informer.kinds.close()
    await this.store.close()
  }
}
