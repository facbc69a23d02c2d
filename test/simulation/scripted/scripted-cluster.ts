/**
 * A simulated cluster whose story a test tells: what users ask for, what goes wrong and when, with conditions awaited
 * in between. Whatever happens, every invariant is checked after each event.
 */
import { healthOf } from '../../../controller/nodehealth/health.ts'
import type { Draft, ObjectApi } from '../../../controller/api/contract.ts'
import type { AnyResource, Deployment, Kind, Node, Pod, Resources } from '../../../proto/gen/types.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { isReady } from '../../../proto/objects/pod.ts'
import type { SimulatedController } from '../control-plane.ts'
import type { Fact } from '../facts.ts'
import { InvariantChecker } from '../invariant-checker.ts'
import { invariants } from '../invariants/invariants.ts'
import { SimulatedCluster, type ClusterShape } from '../simulated-cluster.ts'
import { User } from '../user.ts'
import type { SimulatedEtcd } from '../world/store.ts'
import { turnsTaken } from '../../turns.ts'
import { World } from '../world/world.ts'
import { ScriptedNode } from './scripted-node.ts'

/** Milliseconds between looks whether something holds. */
const LOOK_INTERVAL_MS = 20
/** Milliseconds that a cluster is given to begin, and in which a request must be answered. */
const START_LIMIT_MS = 8_000
const ANSWER_LIMIT_MS = 10_000
const CONTEXT = { fieldManager: 'test' }

export class ScriptedCluster {
  readonly #cluster: SimulatedCluster
  readonly #user: User
  readonly #checker: InvariantChecker
  readonly #observers = new Set<(fact: Fact) => void>()
  readonly nodes: readonly ScriptedNode[]
  /** Events of all controllers and agents: "Node n1 NodeLost". */
  readonly told: string[] = []

  private constructor(shape: ClusterShape, seed: number) {
    this.#cluster = new SimulatedCluster(new World(seed), shape)
    this.#user = new User(this.#cluster)
    this.#checker = new InvariantChecker(this.#cluster, invariants({ forced: new Set(), counts: new Map() }), (fact) =>
      this.#observers.forEach((observe) => observe(fact)),
    )
    const { facts, network } = this.#cluster
    this.nodes = this.#cluster.nodes.map((node) => new ScriptedNode(node, { facts, network }))
    this.observe((fact) => this.nodes.forEach((node) => node.observe(fact)))
  }

  /** With every node ready and a leader at work. */
  static async start(shape: ClusterShape, seed = 1): Promise<ScriptedCluster> {
    const cluster = new ScriptedCluster(shape, seed)
    void cluster.#listen()
    cluster.#cluster.start()
    await turnsTaken()
    // Every pod needs its namespace's ServiceAccount, which the leader makes.
    const begun = (): boolean =>
      cluster.#cluster.leader !== undefined &&
      cluster.list('ServiceAccount').length > 0 &&
      cluster.health.length === shape.nodes &&
      cluster.health.every((is) => is === 'ready')
    await cluster.until('the cluster has begun', begun, START_LIMIT_MS)
    return cluster
  }

  /** Calls with each fact from now on, as it becomes known. */
  observe(observer: (fact: Fact) => void): void {
    this.#observers.add(observer)
  }

  /** Milliseconds since the beginning. */
  get time(): number {
    return this.#cluster.world.time
  }

  get etcd(): SimulatedEtcd {
    return this.#cluster.etcd
  }

  get controllers(): readonly SimulatedController[] {
    return this.#cluster.controllers
  }

  /** As a controller that runs sees it; there is one when this is asked. */
  get leader(): SimulatedController {
    return this.#cluster.leader!
  }

  controller(name: string): SimulatedController {
    return this.controllers.find((controller) => controller.name === name)!
  }

  node(name: string): ScriptedNode {
    return this.nodes.find((node) => node.name === name)!
  }

  /** What the store holds. */
  list<K extends Kind>(kind: K): Extract<AnyResource, { kind: K }>[] {
    return this.#cluster.facts.list(kind)
  }

  /** The node's object. */
  nodeObject(name: string): Node | undefined {
    return this.list('Node').find(({ metadata }) => metadata.name === name)
  }

  /** "ready", "suspect", "lost" of every node, in order of their names. */
  get health(): string[] {
    return this.list('Node')
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
      .map((node) => healthOf(node).is)
  }

  get pods(): Pod[] {
    return this.list('Pod')
  }

  /** Pods that were given this node. */
  podsOn(node: string): Pod[] {
    return this.pods.filter(({ spec }) => spec.nodeName === node)
  }

  /** How many pods are ready and stay. */
  get ready(): number {
    return this.pods.filter((pod) => isReady(pod) && !isDeleting(pod)).length
  }

  deployment(name: string): Deployment {
    return this.list('Deployment').find(({ metadata }) => metadata.name === name)!
  }

  /** What events with this reason were told of: "Node n1". */
  toldOf(reason: string): string[] {
    return this.told.filter((event) => event.endsWith(` ${reason}`)).map((event) => event.slice(0, -reason.length - 1))
  }

  /** Makes a Deployment whose programs run until they are told to end, and then end at once. */
  async deploy(name: string, replicas: number): Promise<void> {
    await this.create({
      kind: 'Deployment',
      metadata: { name, namespace: 'default' },
      spec: {
        replicas,
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: { containers: [STEADY] } },
      },
    })
  }

  /** Makes a pod for a node that runs until it is told to end; `spec`: what else is said of it. */
  async runPod(name: string, node: string, spec: Partial<Pod['spec']> = {}): Promise<void> {
    await this.create({
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: { containers: [STEADY], nodeSelector: { 'kubernetes.io/hostname': node }, ...spec },
    })
  }

  create<K extends Kind>(draft: Draft<K>): Promise<void> {
    return this.#answered(this.#ask('create', (api) => api.create(draft, CONTEXT)))
  }

  change<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    change: (object: Resources[K]) => void,
  ): Promise<void> {
    return this.#answered(this.#ask('write', (api) => api.mutate(kind, namespace, name, '', change, CONTEXT)))
  }

  delete(kind: Kind, namespace: string, name: string): Promise<void> {
    return this.#answered(this.askToDelete(kind, namespace, name))
  }

  /** The same for an observer, who cannot let time pass: settles once it has passed. */
  askToDelete(kind: Kind, namespace: string, name: string): Promise<void> {
    return this.#ask('delete', (api) => api.delete(kind, namespace, name, {}, CONTEXT))
  }

  /** Lets time pass, and everything happen that follows from it. */
  async run(millis: number): Promise<void> {
    await this.#checker.advance(this.time + millis)
    const { violation } = this.#checker
    if (violation !== undefined) throw new Error(`does not hold: ${violation.invariant}: ${violation.what}`)
  }

  /** Lets time pass until something holds; the milliseconds that it took. Fails after `limit`. */
  async until(what: string, holds: () => boolean, limit: number): Promise<number> {
    for (const begun = this.time; ; await this.run(LOOK_INTERVAL_MS)) {
      const passed = this.time - begun
      if (holds()) return passed
      if (passed >= limit) throw new Error(`not within ${limit} ms of simulated time: ${what}`)
    }
  }

  /** Asks a controller; rejects unless it answers that it has done it. */
  async #ask<T extends AnyResource>(
    verb: 'create' | 'write' | 'delete',
    request: (api: ObjectApi) => Promise<T>,
  ): Promise<void> {
    const answer = await this.#user.write(verb, verb, request)
    if (answer.is === 'refused') throw answer.error
    if (answer.is === 'unknown') throw new Error(`a request to ${verb} was not answered`)
  }

  async #answered(asked: Promise<void>): Promise<void> {
    let isAnswered = false
    const answered = (): void => void (isAnswered = true)
    asked.then(answered, answered)
    await this.until('a request is answered', () => isAnswered, ANSWER_LIMIT_MS)
    await asked
  }

  async #listen(): Promise<void> {
    for await (const event of this.#cluster.events.follow({}, 0, new AbortController().signal))
      this.told.push(`${event.involvedObject?.kind} ${event.involvedObject?.name} ${event.reason}`)
  }
}

const STEADY: Partial<Pod['spec']['containers'][number]> = {
  name: 'main',
  image: 'one',
  command: ['/bin/app', 'steady'],
  resources: { requests: { cpu: '100m' } },
}
