/**
 * One simulation from beginning to end: a cluster begins, things are done to it, everything is mended, time passes, and
 * the cluster has to be as its specs say.
 */
import type { Action, Scenario, Work } from './actions.ts'
import { shortfalls } from './convergence.ts'
import { Faults } from './faults.ts'
import { InvariantChecker, type Violation } from './invariant-checker.ts'
import { invariants } from './invariants/invariants.ts'
import { SimulatedCluster } from './simulated-cluster.ts'
import { User } from './user.ts'
import { Worker } from './work.ts'
import type { Trace } from './world/trace.ts'
import { turnsTaken } from '../turns.ts'
import { World } from './world/world.ts'

/** Milliseconds that a cluster is given to begin, before anything is done to it. */
const BEGINNING = 8_000
/** Milliseconds in which it must converge once everything is mended. */
const CONVERGENCE = 240_000
/** Milliseconds between looks whether it has. */
const LOOK = 500

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
  readonly #checker: InvariantChecker
  readonly #done: Record<string, number> = {}
  /** Everything that users do in a row; each thing waits for none before it. */
  #working = 0

  constructor(scenario: Scenario, trace?: Trace) {
    this.#scenario = scenario
    this.#world = new World(scenario.seed, trace)
    this.#cluster = new SimulatedCluster(this.#world, scenario)
    this.#faults = new Faults(this.#cluster)
    this.#user = new User(this.#cluster)
    this.#worker = new Worker(this.#cluster, this.#user)
    this.#checker = new InvariantChecker(this.#cluster, invariants(this.#worker))
  }

  async run(): Promise<Outcome> {
    await this.#begin()
    await this.#act()
    await this.#converge()
    const { trace, time } = this.#world
    return {
      scenario: this.#scenario,
      violation: this.#checker.violation,
      hash: trace.hash,
      events: trace.length,
      millis: time,
      done: this.#done,
      lines: trace.lines,
    }
  }

  async #begin(): Promise<void> {
    this.#cluster.start()
    await turnsTaken()
    // Every pod needs its namespace's ServiceAccount, which the leader makes.
    const ready = (): boolean =>
      this.#cluster.leader !== undefined && this.#cluster.facts.list('ServiceAccount').length > 0
    for (let until = 0; until < BEGINNING && !ready() && !this.#over; until += LOOK)
      await this.#checker.advance(until + LOOK)
  }

  async #act(): Promise<void> {
    const begun = this.#world.time
    for (const action of this.#scenario.actions) {
      await this.#checker.advance(begun + action.at)
      if (this.#over) return
      this.#do(action)
    }
    await this.#checker.advance(this.#world.time + LOOK)
  }

  #do(action: Action): void {
    this.#done[action.do] = (this.#done[action.do] ?? 0) + 1
    this.#world.trace.note(this.#world.time, `do ${JSON.stringify(action)}`)
    if (!isWork(action)) return this.#faults.make(action)
    this.#working++
    this.#worker.do(action).then(
      () => {
        this.#working--
        const { accepted } = this.#worker
        if (accepted !== undefined) this.#checker.violate('a bad input is refused whole', `${accepted} was accepted`)
      },
      (thrown: unknown) => this.#checker.violate('the simulation itself works', String((thrown as Error).stack)),
    )
  }

  async #converge(): Promise<void> {
    if (this.#over) return
    this.#faults.mendAll()
    for (const process of [...this.#cluster.controllers, ...this.#cluster.nodes]) process.start()
    const end = this.#world.time + CONVERGENCE
    await this.#checker.advance(this.#world.time + LOOK)
    let left: string[] = []
    let uncordoning = false
    while (this.#world.time < end && !this.#over) {
      await this.#checker.advance(this.#world.time + LOOK)
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
    this.#checker.violate('the cluster converges to its specs', left.join('; '))
  }

  get #over(): boolean {
    return this.#checker.violation !== undefined
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
