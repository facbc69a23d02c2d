/**
 * etcd as controllers reach it: the memory store on a host of its own, behind the network. A question or its answer may
 * be lost, and who asked cannot tell which: as with etcd, the call then fails as Unavailable and the write may have
 * happened. Watches go on by themselves where they were cut off.
 */
import type { CommitResult, Operation, Store, Term, WatchBatch } from '../../../controller/store/contract.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { Channel } from '../../../proto/base/channel.ts'
import { delay } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Network } from './network.ts'
import { Host, type Process } from './process.ts'
import { between, type World } from './world.ts'

/** Milliseconds within which a call is answered or fails, as EtcdStore has it. */
const CALL_TIMEOUT = 3_000

/** Milliseconds until a watch that broke begins again. */
const WATCH_AGAIN = 50

/** A commit that happened. */
export interface Committed {
  readonly writer: string
  readonly operations: readonly Operation[]
  readonly term: Term | undefined
  readonly revision: number
}

export class SimulatedEtcd {
  readonly host: Host
  readonly memory: MemoryStore
  readonly #world: World
  readonly #network: Network
  readonly #random: Random
  readonly #observers = new Set<(committed: Committed) => void>()
  readonly #watches = new Set<() => void>()
  #revision = 1
  /** Answers Unavailable at once, as without a majority. */
  available = true
  /** Of calls, those that get lost, on the way there or back. */
  lossShare = 0
  /** Milliseconds that its disk takes at most. */
  slowness = 0

  constructor(world: World, network: Network) {
    this.#world = world
    this.#network = network
    this.#random = world.random('store')
    this.host = new Host('etcd', '192.0.2.1', world)
    this.memory = new MemoryStore(world.clock)
  }

  onCommit(observer: (committed: Committed) => void): void {
    this.#observers.add(observer)
  }

  /** Forgets a share of its history; watches that were told less begin anew, those of this moment break. */
  compact(share: number): void {
    this.memory.compact(Math.floor(this.#revision * share))
    for (const fail of [...this.#watches]) fail()
  }

  /** As a controller's process has it. */
  connection(process: Process): Store {
    const call = <T>(what: string, act: () => Promise<T>): Promise<T> => this.#call(process, what, act)
    return {
      get: (key) => call(`get ${key}`, () => this.memory.get(key)),
      list: (prefix, options) => call(`list ${prefix}`, () => this.memory.list(prefix, options)),
      commit: (operations, term) =>
        call(`commit ${operations.map(({ kind, key }) => `${kind} ${key}`).join(' ')}`, () =>
          this.#commit(process, operations, term),
        ),
      revision: () => call('revision', () => this.memory.revision()),
      grantLease: (seconds) => call('grant lease', () => this.memory.grantLease(seconds)),
      keepLease: (id) => call('keep lease', () => this.memory.keepLease(id)),
      revokeLease: (id) => call('revoke lease', () => this.memory.revokeLease(id)),
      watch: (prefix, after, signal) => this.#watch(process, prefix, after, signal),
      close: () => Promise.resolve(),
    }
  }

  async #commit(process: Process, operations: readonly Operation[], term: Term | undefined): Promise<CommitResult> {
    const result = await this.memory.commit(operations, term)
    if (result.outcome !== 'committed') return result
    this.#revision = result.revision
    for (const observer of this.#observers)
      observer({ writer: process.name, operations, term, revision: result.revision })
    return result
  }

  #call<T>(process: Process, what: string, act: () => Promise<T>): Promise<T> {
    const label = `${process.name} store ${what}`
    const random = this.#random
    const lost = (): boolean => this.lossShare > 0 && random.next() < this.lossShare
    return new Promise<T>((resolve, reject) => {
      if (!process.alive) return
      const late = process.clock.after(CALL_TIMEOUT, () =>
        reject(new GantryError('Unavailable', `etcd did not answer within ${CALL_TIMEOUT} ms`)),
      )
      const answer = (settle: () => void): void => {
        if (lost()) return
        this.#network.send(this.host, process.host, `answer ${label}`, () =>
          process.enter(() => {
            late.cancel()
            settle()
          }),
        )
      }
      const perform = (): void => {
        if (!this.available) return answer(() => reject(new GantryError('Unavailable', 'etcd has no leader')))
        act().then(
          (result) => answer(() => resolve(result)),
          (thrown: unknown) => answer(() => reject(thrown as Error)),
        )
      }
      if (lost()) return
      this.#network.send(process.host, this.host, label, () => {
        if (this.slowness === 0) perform()
        else this.#world.after(between(random, 0, this.slowness), `disk ${label}`, perform)
      })
    })
  }

  async *#watch(
    process: Process,
    prefix: string,
    after: number,
    signal: AbortSignal,
  ): AsyncGenerator<WatchBatch, void, undefined> {
    const arrived = new Channel<WatchBatch>()
    const ended = new AbortController()
    const end = (): void => {
      ended.abort()
      arrived.close()
    }
    if (signal.aborted) return
    signal.addEventListener('abort', end, { once: true })
    process.onEnd(() => ended.abort())
    const pipe = this.#network.pipe<() => void>(this.host, process.host, `${process.name} watch ${prefix}`, (told) =>
      process.enter(told),
    )
    // What breaks a watch on the way makes it begin again after what it has been told.
    let told = after
    const follow = async (): Promise<void> => {
      let [mine, broken] = [0, new AbortController()]
      const fail = (): void => broken.abort()
      this.#watches.add(fail)
      try {
        while (!ended.signal.aborted) {
          broken = new AbortController()
          const round = ++mine
          for await (const batch of this.memory.watch(prefix, told, AbortSignal.any([ended.signal, broken.signal])))
            pipe.send(() => {
              if (round !== mine || batch.revision <= told) return
              told = batch.revision
              arrived.push(batch)
            })
          if (!ended.signal.aborted) await delay(this.#world.clock, WATCH_AGAIN)
        }
      } catch (thrown) {
        pipe.send(() => arrived.fail(thrown))
      } finally {
        this.#watches.delete(fail)
      }
    }
    void follow()
    try {
      yield* arrived
    } finally {
      signal.removeEventListener('abort', end)
      ended.abort()
      pipe.close()
    }
  }
}
