/**
 * A part of a cluster in one process under a simulated clock, for scripted tests of sessions and node health: one store
 * in memory, the parts of a controller that lead and dispatch, and agents that only pretend (simulated-agent.ts).
 * Whole controllers and real agents are in simulated-cluster.ts.
 */
import { setImmediate } from 'node:timers/promises'
import { ConsistentReads } from '../../controller/api/consistent-reads.ts'
import { createParticipants } from '../../controller/participants.ts'
import { ObjectRegistry } from '../../controller/api/objects.ts'
import { Dispatcher, type DispatcherParts } from '../../controller/dispatch/dispatcher.ts'
import { healthOf } from '../../controller/nodehealth/health.ts'
import { Election } from '../../controller/election/election.ts'
import { StoreReplicas } from '../../controller/election/replicas.ts'
import { StoreInformer } from '../../controller/informer/informer.ts'
import { createReconcilers } from '../../controller/reconcile/reconcilers.ts'
import { runReconcilers } from '../../controller/runner/runner.ts'
import { Scheduler } from '../../controller/scheduler/scheduler.ts'
import type { Store } from '../../controller/store/contract.ts'
import { GroupCommit } from '../../controller/store/group-commit.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { FakeClock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { Deployment, Node, Pod } from '../../proto/gen/types.ts'
import { SimulatedAgent } from './simulated-agent.ts'
import { CLUSTER_NETWORK } from '../controller/dispatch/test-node.ts'

/** Milliseconds of simulated time between which everything that can run does. */
const STEP = 50
/** Turns of the event loop in which everything that follows from one step has happened. */
const TURNS = 12

/** One controller's way to the store, which can be cut. */
function cuttable(store: Store): { store: Store; cut: () => void } {
  let isCut = false
  const check = (): void => {
    if (isCut) throw new GantryError('Unavailable', 'the store is out of reach')
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
    cut: () => void (isCut = true),
    store: {
      get: through((key) => store.get(key)),
      list: through((prefix, options) => store.list(prefix, options)),
      commit: through((operations, term) => store.commit(operations, term)),
      revision: through(() => store.revision()),
      grantLease: through((seconds) => store.grantLease(seconds)),
      keepLease: through((id) => store.keepLease(id)),
      revokeLease: through((id) => store.revokeLease(id)),
      close: async () => undefined,
      watch: async function* (prefix, after, signal) {
        for await (const batch of store.watch(prefix, after, signal)) {
          if (!isCut) yield batch
        }
      },
    },
  }
}

export class PartialController {
  readonly name: string
  readonly dispatcher: Dispatcher
  readonly api: ObjectRegistry
  readonly informer: StoreInformer
  readonly election: Election
  readonly scheduler: Scheduler
  readonly #group = new RunGroup()
  readonly #cut: () => void
  #up = true

  constructor(
    name: string,
    seed: number,
    parts: { store: MemoryStore; clock: FakeClock; told: string[]; peers: DispatcherParts['peers'] },
  ) {
    const { clock } = parts
    const random = seededRandom(seed)
    const logger = silentLogger
    const { store, cut } = cuttable(parts.store)
    const events = {
      record: ({ regarding, reason }: { regarding: { kind: string; metadata: { name: string } }; reason: string }) =>
        void parts.told.push(`${regarding.kind} ${regarding.metadata.name} ${reason}`),
      publish: () => undefined,
    }
    this.name = name
    this.#cut = cut
    this.informer = new StoreInformer({ store, clock, random, logger })
    const reads = new ConsistentReads(store, this.informer)
    this.api = new ObjectRegistry({
      reads,
      informer: this.informer,
      commits: new GroupCommit(store),
      participants: createParticipants({ reads, informer: this.informer, store, random }),
      clock,
      random,
    })
    const common = { api: this.api, informer: this.informer, events, clock, random, logger }
    this.dispatcher = new Dispatcher({ ...common, controller: name, cluster: CLUSTER_NETWORK, peers: parts.peers })
    this.scheduler = new Scheduler(common)
    this.election = new Election({ store, clock, random, logger, name })
    const replicas = new StoreReplicas({
      store,
      clock,
      random,
      logger,
      name,
      address: `${name}:7443`,
      kubeAddress: () => `${name}:6443`,
    })
    this.#group.add((signal) => this.informer.run(signal))
    this.#group.add((signal) => this.dispatcher.run(signal))
    this.#group.add((signal) => replicas.run(signal))
    this.#group.add((signal) =>
      this.election.run(signal, async (term, leading) => {
        const reconcile = {
          ...common,
          controller: name,
          replicas,
          term,
          authority: 'the authority',
          caughtUp: () => reads.current(),
          clusterRanges: [...CLUSTER_NETWORK.podCidrs, ...CLUSTER_NETWORK.serviceCidrs],
        }
        const duties = new RunGroup(leading)
        duties.add((ended) => this.scheduler.run(term, ended))
        duties.add((ended) => runReconcilers(createReconcilers(reconcile), reconcile, ended))
        await duties.wait()
      }),
    )
  }

  get up(): boolean {
    return this.#up
  }

  /** Ends in order: gives up what it holds. */
  async stop(): Promise<void> {
    this.#up = false
    this.#group.stop()
    await this.#group.wait()
  }

  /** Ends as by SIGKILL: connections break, the store hears nothing more. */
  async crash(): Promise<void> {
    this.#cut()
    await this.stop()
  }
}

export class PartialCluster {
  readonly clock = new FakeClock(Date.UTC(2026, 0, 1, 12))
  readonly store = new MemoryStore(this.clock)
  /** Events of all controllers: "Node n1 NodeLost". */
  readonly told: string[] = []
  readonly controllers: PartialController[] = []
  readonly agents = new Map<string, SimulatedAgent>()
  /** As controllers reach each other. */
  readonly peers: DispatcherParts['peers'] = {
    client: (name) =>
      Promise.resolve({
        networkConfirmed: async ({ revision }: { revision: number }) => (
          await this.controller(name).dispatcher.confirmations.awaitLocal(revision),
          {}
        ),
      } as never),
  }
  #seed = 1

  /** With every node ready and a leader at work. */
  static async start(shape: { controllers: number; nodes: number }): Promise<PartialCluster> {
    const cluster = new PartialCluster()
    for (let index = 1; index <= shape.controllers; index++) cluster.addController(`c${index}`)
    await cluster.run(200)
    await cluster.any.api.create({ kind: 'Namespace', metadata: { name: 'default' } }, { fieldManager: 'test' })
    for (let index = 1; index <= shape.nodes; index++) cluster.addAgent(`n${index}`, (index - 1) % shape.controllers)
    await cluster.run(500)
    return cluster
  }

  addController(name: string): PartialController {
    const controller = new PartialController(name, this.#seed++, this)
    this.controllers.push(controller)
    return controller
  }

  /** `first`: the controller that it dials first. */
  addAgent(name: string, first = 0): SimulatedAgent {
    const agent = new SimulatedAgent({
      name,
      first,
      dispatchers: () => this.controllers.filter(({ up }) => up).map(({ dispatcher }) => dispatcher),
      clock: this.clock,
    })
    this.agents.set(name, agent)
    agent.start()
    return agent
  }

  agent(name: string): SimulatedAgent {
    return this.agents.get(name)!
  }

  controller(name: string): PartialController {
    return this.controllers.findLast((controller) => controller.name === name)!
  }

  get any(): PartialController {
    return this.controllers.find(({ up }) => up)!
  }

  get leader(): PartialController {
    return this.controller(this.any.election.leader())
  }

  node(name: string): Node | undefined {
    return this.any.informer.lister('Node').get('', name)
  }

  /** "ready", "suspect", "lost" of every node, in order of their names. */
  get health(): string[] {
    return this.any.informer
      .lister('Node')
      .list()
      .map((node) => healthOf(node).is)
  }

  get pods(): Pod[] {
    return this.any.informer.lister('Pod').list()
  }

  async deploy(name: string, replicas: number, spec: object = {}): Promise<Deployment> {
    return this.any.api.create(
      {
        kind: 'Deployment',
        metadata: { name, namespace: 'default' },
        spec: {
          replicas,
          selector: { matchLabels: { app: name } },
          template: {
            metadata: { labels: { app: name } },
            spec: { containers: [{ name: 'c', image: 'one', resources: { requests: { cpu: '100m' } } }] },
          },
          ...spec,
        },
      },
      { fieldManager: 'test' },
    )
  }

  deployment(name: string): Deployment {
    return this.any.informer.lister('Deployment').get('default', name)!
  }

  /** Lets time pass, and everything happen that follows from it. */
  async run(millis: number): Promise<void> {
    for (let passed = 0; passed < millis; passed += STEP) {
      await this.clock.advance(Math.min(STEP, millis - passed))
      for (let turn = 0; turn < TURNS; turn++) await setImmediate()
    }
  }

  /** Lets time pass until something holds; the milliseconds that it took. Fails after `limit`. */
  async until(what: string, holds: () => boolean, limit: number): Promise<number> {
    for (let passed = 0; ; passed += STEP) {
      if (holds()) return passed
      if (passed >= limit) throw new Error(`not within ${limit} ms of simulated time: ${what}`)
      await this.run(STEP)
    }
  }

  async stop(): Promise<void> {
    for (const agent of this.agents.values()) agent.stop()
    for (const controller of this.controllers) if (controller.up) await controller.stop()
    await this.store.close()
  }
}
