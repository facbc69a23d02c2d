/** Looks at a simulated cluster after each event: whether every invariant holds and no program fails by itself. */
import type { Fact } from './facts.ts'
import type { Check, Invariant } from './invariants/invariant.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'

export interface Violation {
  readonly invariant: string
  readonly what: string
  /** Simulated milliseconds. */
  readonly at: number
}

export class InvariantChecker {
  readonly #cluster: SimulatedCluster
  readonly #checks: readonly { readonly name: string; readonly check: Check }[]
  readonly #observe: (fact: Fact) => void
  #violation: Violation | undefined

  /** `observe` is called with each fact, in their order. */
  constructor(
    cluster: SimulatedCluster,
    invariants: readonly Invariant[],
    observe: (fact: Fact) => void = () => undefined,
  ) {
    this.#cluster = cluster
    this.#checks = invariants.map(({ name, make }) => ({ name, check: make() }))
    this.#observe = observe
  }

  /** The first thing that did not hold. */
  get violation(): Violation | undefined {
    return this.#violation
  }

  violate(invariant: string, what: string): void {
    this.#violation ??= { invariant, what, at: this.#cluster.world.time }
  }

  /** Lets time pass until then, or until something does not hold. */
  async advance(until: number): Promise<void> {
    while (this.#violation === undefined && (await this.#cluster.world.step(until))) this.#look()
  }

  #look(): void {
    const { facts, complaints, world } = this.#cluster
    for (const fact of facts.take()) {
      if (fact.is === 'begun' || fact.is === 'ended')
        world.trace.note(world.time, `${fact.is} ${fact.node} ${fact.instance.podUid}`)
      this.#observe(fact)
      for (const { name, check } of this.#checks) {
        const what = check(fact, facts)
        if (what !== undefined) this.violate(name, what)
      }
    }
    const [complaint] = complaints
    if (complaint === undefined) return
    const { process, message, error } = complaint
    const cause = (error as { cause?: unknown } | undefined)?.cause ?? error
    this.violate(
      'no program fails by its own fault',
      `${process}: ${message}: ${cause instanceof Error ? cause.stack : String(cause)}`,
    )
  }
}
