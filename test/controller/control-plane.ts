/** A control plane in one process for tests: memory store, watch cache and API core, with the `default` namespace. */
import { ConsistentReads } from '../../controller/api/consistent-reads.ts'
import { createParticipants } from '../../controller/participants.ts'
import { ObjectRegistry } from '../../controller/api/objects.ts'
import { StoreInformer } from '../../controller/informer/informer.ts'
import { GroupCommit } from '../../controller/store/group-commit.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { systemClock, type Clock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'

export class ControlPlane {
  readonly store: MemoryStore
  readonly informer: StoreInformer
  readonly api: ObjectRegistry
  readonly random = seededRandom(1)
  readonly #stop = new AbortController()
  readonly #running: Promise<void>

  private constructor(clock: Clock) {
    this.store = new MemoryStore(clock)
    this.informer = new StoreInformer({ store: this.store, clock, random: this.random, logger: silentLogger })
    const reads = new ConsistentReads(this.store, this.informer)
    this.api = new ObjectRegistry({
      reads,
      participants: createParticipants({ informer: this.informer, store: this.store, random: this.random, reads }),
      informer: this.informer,
      commits: new GroupCommit(this.store),
      clock,
      random: this.random,
    })
    this.#running = this.informer.run(this.#stop.signal)
  }

  static async start(clock: Clock = systemClock): Promise<ControlPlane> {
    const plane = new ControlPlane(clock)
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
