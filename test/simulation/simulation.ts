/**
 * One simulation from beginning to end: a cluster begins, things are done to it, everything is mended, time passes, and
 * the cluster has to be as its specs say.
 */
import type { Action, Scenario, Work } from './actions.ts'
import { shortfalls } from './convergence.ts'
import { Faults } from './faults.ts'
import type { Check, Invariant } from './invariants/invariant.ts'
import { containersRunOnce, onceMeansOnce, podsRunWhereTheyArePlaced, statusOnlyAdvances } from './invariants/pods.ts'
import { nodesAreToldOnlyWhatTheyUse } from './invariants/secrets.ts'
import {
  acknowledgedWritesHappened,
  addressesAreUnique,
  countsOf,
  onlyLeadersPlacePods,
  podsLeaveFirst,
} from './invariants/writes.ts'
import { SimulatedCluster } from './simulated-cluster.ts'
import { User } from './user.ts'
import { Worker } from './work.ts'
import type { Trace } from './world/trace.ts'
import { settled, World } from './world/world.ts'

/** Milliseconds that a cluster is given to begin, before anything is done to it. */
const BEGINNING = 8_000
/** Milliseconds in which it must converge once everything is mended. */
const CONVERGENCE = 240_000
/** Milliseconds between looks whether it has. */
const LOOK = 500

export interface Violation {
  readonly invariant: string
  readonly what: string
  /** Simulated milliseconds. */
  readonly at: number
}

export interface Outcome {
  readonly scenario: Scenario
  readonly violation: Violation | undefined
  readonly hash: string
  /** Events of the simulated world. */
  readonly events: number
  /** Simulated milliseconds. */
  readonly millis: number
  /** How often each thing was done to the cluster. */
  readonly done: Readonly<Record<string, number>>
  readonly lines: readonly string[]
}

export async function simulate(scenario: Scenario, trace?: Trace): Promise<Outcome> {
  return new Simulation(scenario, trace).run()
}

class Simulation {
  readonly #scenario: Scenario
  readonly #world: World
  readonly #cluster: SimulatedCluster
  readonly #faults: Faults
  readonly #worker: Worker
  readonly #user: User
  readonly #checks: readonly { readonly name: string; readonly check: Check }[]
  readonly #done: Record<string, number> = {}
  /** Everything that users do in a row; each thing waits for none before it. */
  #working = 0
  #violation: Violation | undefined

  constructor(scenario: Scenario, trace?: Trace) {
    this.#scenario = scenario
    this.#world = new World(scenario.seed, trace)
    this.#cluster = new SimulatedCluster(this.#world, scenario)
    this.#faults = new Faults(this.#cluster)
    this.#user = new User(this.#cluster)
    this.#worker = new Worker(this.#cluster, this.#user)
    const invariants: readonly Invariant[] = [
      acknowledgedWritesHappened,
      podsLeaveFirst(this.#worker.forced),
      countsOf(this.#worker.counts),
      onlyLeadersPlacePods,
      addressesAreUnique,
      podsRunWhereTheyArePlaced,
      containersRunOnce,
      onceMeansOnce,
      statusOnlyAdvances,
      nodesAreToldOnlyWhatTheyUse,
    ]
    this.#checks = invariants.map(({ name, make }) => ({ name, check: make() }))
  }

  async run(): Promise<Outcome> {
    await this.#begin()
    await this.#act()
    await this.#converge()
    const { trace, time } = this.#world
    return {
      scenario: this.#scenario,
      violation: this.#violation,
      hash: trace.hash,
      events: trace.length,
      millis: time,
      done: this.#done,
      lines: trace.lines,
    }
  }

  async #begin(): Promise<void> {
    this.#cluster.start()
    await settled()
    // Every pod needs its namespace's ServiceAccount, which the leader makes.
    const ready = (): boolean =>
      this.#cluster.leader !== undefined && this.#cluster.facts.list('ServiceAccount').length > 0
    for (let until = 0; until < BEGINNING && !ready() && !this.#over; until += LOOK) await this.#pass(until + LOOK)
  }

  async #act(): Promise<void> {
    const begun = this.#world.time
    for (const action of this.#scenario.actions) {
      await this.#pass(begun + action.at)
      if (this.#over) return
      this.#do(action)
    }
    await this.#pass(this.#world.time + LOOK)
  }

  #do(action: Action): void {
    this.#done[action.do] = (this.#done[action.do] ?? 0) + 1
    this.#world.trace.note(this.#world.time, `do ${JSON.stringify(action)}`)
    if (!isWork(action)) return this.#faults.make(action)
    this.#working++
    this.#worker.do(action).then(
      () => this.#working--,
      (thrown: unknown) => this.#violate('the simulation itself works', String((thrown as Error).stack)),
    )
  }

  async #converge(): Promise<void> {
    if (this.#over) return
    this.#faults.mendAll()
    for (const process of [...this.#cluster.controllers, ...this.#cluster.nodes]) process.start()
    const end = this.#world.time + CONVERGENCE
    await this.#pass(this.#world.time + LOOK)
    let left: string[] = []
    let uncordoning = false
    while (this.#world.time < end && !this.#over) {
      await this.#pass(this.#world.time + LOOK)
      if (this.#user.waiting > 0 || this.#working > 0) continue
      const cordoned = this.#cluster.facts.list('Node').some(({ spec }) => spec.unschedulable === true)
      if (cordoned && !uncordoning) {
        uncordoning = true
        void this.#worker.uncordonAll().finally(() => (uncordoning = false))
        continue
      }
      left = shortfalls(this.#cluster)
      if (left.length === 0 && !cordoned) return
    }
    this.#violate('the cluster converges to its specs', left.join('; '))
  }

  get #over(): boolean {
    return this.#violation !== undefined
  }

  #violate(invariant: string, what: string): void {
    this.#violation ??= { invariant, what, at: this.#world.time }
  }

  /** Lets time pass, and looks after each event whether all is well. */
  async #pass(until: number): Promise<void> {
    while (!this.#over && (await this.#world.step(until))) this.#look()
  }

  #look(): void {
    const { facts, complaints } = this.#cluster
    for (const fact of facts.take()) {
      if (fact.is === 'begun' || fact.is === 'ended')
        this.#world.trace.note(this.#world.time, `${fact.is} ${fact.node} ${fact.instance.podUid}`)
      for (const { name, check } of this.#checks) {
        const what = check(fact, facts)
        if (what !== undefined) this.#violate(name, what)
      }
    }
    const [complaint] = complaints
    if (complaint !== undefined) {
      const { process, message, error } = complaint
      const cause = (error as { cause?: unknown } | undefined)?.cause ?? error
      this.#violate(
        'no program fails by its own fault',
        `${process}: ${message}: ${cause instanceof Error ? cause.stack : String(cause)}`,
      )
    }
    if (this.#worker.accepted !== undefined)
      this.#violate('a bad input is refused whole', `${this.#worker.accepted} was accepted`)
  }
}

const WORK: ReadonlySet<string> = new Set<Work['do']>([
  'deploy',
  'scale',
  'roll',
  'undeploy',
  'run',
  'deletePod',
  'expose',
  'hide',
  'writeSecret',
  'deleteSecret',
  'count',
  'cordon',
  'uncordon',
  'drain',
  'deleteNode',
  'nonsense',
  'makeNamespace',
  'deleteNamespace',
])

function isWork(action: Action): action is Action & Work {
  return WORK.has(action.do)
}
