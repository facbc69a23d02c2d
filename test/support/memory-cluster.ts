/**
 * A cluster in one process: controllers over one store, one event log and one network in memory, and nodes whose pods
 * run as soon as they are assigned. No sockets, no files, no programs; time passes when a test lets it.
 */
import { setImmediate } from 'node:timers/promises'
import { Outbox } from '../../agent/session/outbox.ts'
import { Session } from '../../agent/session/session.ts'
import type { AssignmentHandler } from '../../agent/session/contract.ts'
import { clusterSigningKey } from '../../controller/accounts/signing-key.ts'
import { MASTERS } from '../../controller/authorization/groups.ts'
import type { ReplicaConfig } from '../../controller/config.ts'
import { Controller } from '../../controller/controller.ts'
import { MemoryEventLog, MemoryNews } from '../../controller/events/memory-news.ts'
import type { Store } from '../../controller/store/contract.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { FakeClock } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { formatTime } from '../../proto/base/time.ts'
import { ClusterClient } from '../../proto/client/cluster.ts'
import type { Node, ObservedPod, Pod } from '../../proto/gen/types.ts'
import { MemoryNetwork, type MemoryHost } from '../../proto/rpc/memory/network.ts'

const AGENT_PORT = 7443
/** Milliseconds of the clock between which everything that can run does, in so many turns of the event loop. */
const STEP = 50
const TURNS = 12

export interface RunningController {
  readonly name: string
  readonly host: MemoryHost
  readonly controller: Controller
  /** Ends in order: gives up what it holds. */
  stop(): Promise<void>
  /** Ends as by SIGKILL: nothing that it still does reaches anybody. */
  kill(): Promise<void>
}

export class MemoryCluster {
  readonly clock = new FakeClock(Date.UTC(2026, 0, 1, 12))
  readonly store = new MemoryStore(this.clock)
  readonly events = new MemoryEventLog(this.clock)
  readonly network = new MemoryNetwork({ clock: this.clock })
  readonly controllers: RunningController[] = []
  readonly #stop = new AbortController()
  readonly #tasks: Promise<void>[] = []
  #seed = 1

  /** With `controllers` of them, c1 and so on, and their leader at work. */
  static async start(controllers: number): Promise<MemoryCluster> {
    const cluster = new MemoryCluster()
    const names = Array.from({ length: controllers }, (_, index) => `c${index + 1}`)
    for (const name of names) await cluster.addController(name, names)
    await cluster.until('somebody leads', () => cluster.leader !== undefined)
    return cluster
  }

  async addController(name: string, members: readonly string[]): Promise<RunningController> {
    const { clock } = this
    const random = seededRandom(this.#seed++)
    const host = this.network.host(name)
    const { store, cut } = cuttable(this.store)
    const parts = { clock, random, logger: silentLogger }
    const stop = new AbortController()
    const controller = new Controller(
      {
        ...parts,
        config: configOf(name, members),
        store,
        nameIsOurs: false,
        news: new MemoryNews(this.events, parts),
        authority: 'the authority',
        server: (authorize) => host.server({ port: AGENT_PORT, authorize }),
        kubeFace: () => ({
          start: () => Promise.resolve(`${name}:6443`),
          interrupt: () => undefined,
          stop: () => Promise.resolve(),
        }),
        connect: (address) => host.connect(address, { user: { name, groups: ['system:controllers'] } }),
      },
      await clusterSigningKey(this.store, parts, stop.signal),
    )
    const running = controller.run(stop.signal)
    running.catch(() => undefined) // told by stop
    const end = async (): Promise<void> => {
      this.controllers.splice(this.controllers.indexOf(started), 1)
      stop.abort()
      await this.settled(running)
    }
    const started: RunningController = {
      name,
      host,
      controller,
      stop: end,
      kill: () => {
        host.kill()
        cut()
        return end()
      },
    }
    this.controllers.push(started)
    return started
  }

  /** A node of four processors whose pods run at once. */
  addNode(name: string): TestNode {
    const { clock } = this
    const node = new TestNode(name, clock)
    const host = this.network.host(`10.0.0.${10 + this.#seed}`)
    const session = new Session({
      controllers: this.controllers.map((controller) => `${controller.name}:${AGENT_PORT}`),
      connect: (address) => host.connect(address, { user: { name: `system:node:${name}`, groups: ['system:nodes'] } }),
      workload: node,
      network: { welcome: () => Promise.resolve(), update: ({ revision }) => node.outbox.networkApplied(revision) },
      outbox: node.outbox,
      node: () => Promise.resolve(nodeNamed(name)),
      agentId: name,
      version: '1',
      clock,
      random: seededRandom(this.#seed++),
      log: silentLogger,
    })
    this.#tasks.push(session.run(this.#stop.signal))
    return node
  }

  /** An administrator's client of the controllers there are now. */
  client(user = { name: 'admin', groups: [MASTERS] }): ClusterClient {
    const host = this.network.host('desk')
    return new ClusterClient({
      context: { name: 'test', server: this.controllers.map(({ name }) => `${name}:${AGENT_PORT}`) },
      credentials: undefined,
      connect: (address) => host.connect(address, { user }),
      clock: this.clock,
      signal: this.#stop.signal,
      timeout: 30_000,
    })
  }

  /** As every controller knows it; undefined while they differ. */
  get leader(): RunningController | undefined {
    const names = new Set(this.controllers.map(({ controller }) => controller.election.leader()))
    return names.size === 1 ? this.controllers.find(({ name }) => names.has(name)) : undefined
  }

  /** Lets time pass, and everything happen that follows from it. */
  async run(millis: number): Promise<void> {
    for (let passed = 0; passed < millis; passed += STEP) {
      await this.clock.advance(Math.min(STEP, millis - passed))
      for (let turn = 0; turn < TURNS; turn++) await setImmediate()
    }
  }

  /** Lets time pass until the promise is settled. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let done = false
    const note = (): void => void (done = true)
    promise.then(note, note)
    await this.until('a promise is settled', () => done)
    return promise
  }

  /** Lets time pass until something holds; fails after `limit` milliseconds of the clock. */
  async until(what: string, holds: () => boolean, limit = 60_000): Promise<void> {
    for (let passed = 0; !holds(); passed += STEP) {
      if (passed >= limit) throw new Error(`not within ${limit} ms of the clock: ${what}`)
      await this.run(STEP)
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort(new GantryError('Cancelled', 'the test is over'))
    await this.settled(Promise.all(this.#tasks))
    for (const controller of [...this.controllers]) await controller.stop()
    await this.store.close()
  }
}

/** A node's pods: each runs from when it is assigned until it is to end. */
export class TestNode implements AssignmentHandler {
  readonly name: string
  readonly outbox = new Outbox()
  readonly #clock: FakeClock
  readonly #pods = new Map<string, Pod>()

  constructor(name: string, clock: FakeClock) {
    this.name = name
    this.#clock = clock
  }

  /** Names of the pods that run. */
  get running(): string[] {
    return [...this.#pods.values()].map(({ metadata }) => metadata.name).sort()
  }

  welcome(): Promise<void> {
    return Promise.resolve()
  }

  assign({ complete, set }: Parameters<AssignmentHandler['assign']>[0]): void {
    const pods = set.filter((object): object is Pod => object.kind === 'Pod')
    const kept = new Set(pods.map(({ metadata }) => metadata.uid))
    if (complete) for (const uid of [...this.#pods.keys()]) if (!kept.has(uid)) this.#pods.delete(uid)
    for (const pod of pods) {
      const ends = pod.metadata.deletionTimestamp !== undefined
      if (ends) this.#pods.delete(pod.metadata.uid)
      else this.#pods.set(pod.metadata.uid, pod)
      this.outbox.podStatusChanged(ends ? released(pod) : this.#observed(pod))
    }
  }

  endpointsDrained(): void {
    // Pods end at once here.
  }

  observations(): ObservedPod[] {
    return [...this.#pods.values()].map((pod) => this.#observed(pod))
  }

  #observed({ metadata: { namespace, name, uid } }: Pod): ObservedPod {
    const lastTransitionTime = formatTime(this.#clock.now())
    const conditions = ['Ready', 'ContainersReady'].map((type) => ({
      type,
      status: 'True' as const,
      lastTransitionTime,
    }))
    const status = { phase: 'Running' as const, startTime: lastTransitionTime, conditions }
    return { namespace, name, uid, released: false, status }
  }
}

function released({ metadata: { namespace, name, uid } }: Pod): ObservedPod {
  return { namespace, name, uid, status: { phase: 'Failed' }, released: true }
}

function configOf(name: string, members: readonly string[]): ReplicaConfig {
  return {
    name,
    listen: `${name}:${AGENT_PORT}`,
    kubeListen: `${name}:6443`,
    advertise: undefined,
    podCidr: '10.244.0.0/16',
    serviceCidr: '10.96.0.0/16',
    externalCidrs: [],
    nodeAddresses: [],
    clusterDomain: 'cluster.local',
    members: members.map((member, index) => ({ name: member, address: `10.1.0.${index + 1}` })),
    ports: { nats: 4222, etcdPeer: 2380, natsPeer: 6222, processes: 7450 },
    serve: 1,
  }
}

function nodeNamed(name: string): Node {
  const amounts = { cpu: '4', memory: '8Gi', pods: '100' }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, namespace: '', uid: '', resourceVersion: '', labels: { 'kubernetes.io/hostname': name } },
    spec: {},
    status: { capacity: amounts, allocatable: amounts },
  }
}

/** A way to the store that can be cut: no call comes through then, nor an answer. */
function cuttable(store: Store): { readonly store: Store; readonly cut: () => void } {
  const ended = new AbortController()
  const check = (): void => {
    if (ended.signal.aborted) throw new GantryError('Unavailable', 'the store is out of reach')
  }
  const through =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      check()
      const result = await call(...args)
      check()
      return result
    }
  return {
    cut: () => ended.abort(),
    store: {
      get: through((key) => store.get(key)),
      list: through((prefix, options) => store.list(prefix, options)),
      commit: through((operations, term) => store.commit(operations, term)),
      revision: through(() => store.revision()),
      grantLease: through((seconds) => store.grantLease(seconds)),
      keepLease: through((id) => store.keepLease(id)),
      revokeLease: through((id) => store.revokeLease(id)),
      close: () => Promise.resolve(),
      watch: (prefix, after, signal) => store.watch(prefix, after, AbortSignal.any([signal, ended.signal])),
    },
  }
}
