/** An API core over a memory store, with a clock that stands still: what the tests of this folder work on. */
import { ConsistentReads } from '../../../controller/api/consistent-reads.ts'
import { createParticipants } from '../../../controller/participants.ts'
import { ObjectRegistry } from '../../../controller/api/objects.ts'
import { ResourcesHandlers } from '../../../controller/grpc/resources.ts'
import { StoreInformer } from '../../../controller/informer/informer.ts'
import { GroupCommit } from '../../../controller/store/group-commit.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import type { Operation } from '../../../controller/store/contract.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { RunGroup } from '../../../proto/base/run-group.ts'
import { testRequests } from '../requests/test-requests.ts'

export const context = { fieldManager: 'tester' }

export class ApiBench {
  readonly clock = new FakeClock()
  readonly store = new MemoryStore(this.clock)
  readonly random = seededRandom(1)
  readonly informer = new StoreInformer({
    store: this.store,
    clock: this.clock,
    random: this.random,
    logger: silentLogger,
  })
  readonly reads = new ConsistentReads(this.store, this.informer)
  /** Writes that reached the store. */
  readonly writes: Operation[] = []
  readonly #commits = new GroupCommit(this.store)
  readonly api = new ObjectRegistry({
    reads: this.reads,
    informer: this.informer,
    clock: this.clock,
    random: this.random,
    commits: {
      writeAll: (operations, term) => {
        this.writes.push(...operations)
        return this.#commits.writeAll(operations, term)
      },
    },
    participants: createParticipants(this),
  })
  readonly requests = testRequests(this)
  readonly handlers = new ResourcesHandlers(this.requests)
  readonly #group = new RunGroup()

  /** Running, with the namespace `default`. */
  static async start(): Promise<ApiBench> {
    const bench = new ApiBench()
    bench.#group.add((signal) => bench.informer.run(signal))
    await bench.informer.synced()
    await bench.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'default' } }, context)
    await bench.reads.current()
    bench.writes.length = 0
    return bench
  }

  async stop(): Promise<void> {
    this.#group.stop()
    await this.#group.wait()
    await this.store.close()
  }
}

/** A pod with one container. */
export function podDraft(name: string, spec: object = {}, metadata: object = {}) {
  return {
    kind: 'Pod' as const,
    metadata: { name, namespace: 'default', ...metadata },
    spec: { containers: [{ name: 'main', image: 'busybox' }], ...spec },
  }
}

export function configDraft(name: string, data: Record<string, string>, metadata: object = {}) {
  return { kind: 'ConfigMap' as const, metadata: { name, namespace: 'default', ...metadata }, data }
}
