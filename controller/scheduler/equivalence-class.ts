/**
 * Pods that every node answers alike: how well each node would suit one of them, as far as that depends on the node
 * alone, kept up as nodes change.
 */
import type { Random } from '../../proto/base/random.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type {
  FilterPlugin,
  NodeInfo,
  RelativeAnswers,
  RelativeTerm,
  SchedulerCluster,
  SchedulerSnapshot,
  ScorePlugin,
} from './framework.ts'
import { EQUAL, type RefusedPlacement } from './placement.ts'
import { podEssence } from './pod-essence.ts'

/**
 * Nodes of neighbouring slots, of which the best score is known: most of them are passed over together. A power of two.
 */
const BLOCK = 64
/** The score of a node that does not fit, and of a slot without a node. */
const UNFIT = -Infinity
const NO_SLOT = -1

/** Examples of a class that are kept: pods of each owner are spread by themselves. */
const EXAMPLES_KEPT = 64

/** What a plugin answers in view of all nodes. */
export interface Answers {
  readonly answers: RelativeAnswers
  /** Whether the plugin is to refuse nodes, and to score them. */
  readonly filters: boolean
  readonly scores: boolean
}

/** A pod that stands for all of which every plugin says the same, and what the Services ask for that select it. */
export interface Example {
  readonly pod: Pod
  readonly serviceSelector: Readonly<Record<string, string>> | undefined
}

export interface ScoredNode {
  readonly node: NodeInfo
  readonly score: number
}

/** Those that sign for their answers. */
export interface SigningPlugins {
  readonly filters: readonly FilterPlugin[]
  readonly scores: readonly ScorePlugin[]
}

type Fits = (node: NodeInfo) => boolean

/** What the plugins ask of a node for pods of one class. */
class Questions {
  /** The answers hold for as long as the Node object is the same. */
  readonly #fitsByObject: readonly Fits[]
  readonly #fits: readonly Fits[]
  readonly #scores: readonly { readonly weight: number; readonly score: (node: NodeInfo) => number }[]

  constructor(pod: Pod, cluster: SchedulerSnapshot, { filters, scores }: SigningPlugins) {
    const fitsOf = (plugin: FilterPlugin): Fits | [] => {
      if (plugin.prepareFits !== undefined) return plugin.prepareFits(pod)
      const filter = plugin.prepareFilter(pod, cluster)
      return filter === undefined ? [] : (node) => filter(node) === undefined
    }
    this.#fitsByObject = filters.filter(({ filtersByNodeObject }) => filtersByNodeObject === true).flatMap(fitsOf)
    this.#fits = filters.filter(({ filtersByNodeObject }) => filtersByNodeObject !== true).flatMap(fitsOf)
    this.#scores = scores.flatMap(({ weight, prepareScore }) => {
      const score = prepareScore(pod, cluster)
      return score === undefined ? [] : { weight, score }
    })
  }

  fitsByObject(node: NodeInfo): boolean {
    for (const fits of this.#fitsByObject) if (!fits(node)) return false
    return true
  }

  fits(node: NodeInfo): boolean {
    for (const fits of this.#fits) if (!fits(node)) return false
    return true
  }

  score(node: NodeInfo): number {
    let sum = 0
    for (const { weight, score } of this.#scores) sum += weight * score(node)
    return sum
  }
}

export class EquivalenceClass {
  /** Nodes that were looked at one by one for pods of this class since its scores were last brought up to date. */
  examined = 0
  /** By signature of what plugins say in view of all nodes. */
  readonly #examples = new Map<string, Example>()
  /** Why pods of this class fit nowhere, by the same; of one generation. */
  readonly #refusals = new Map<string, RefusedPlacement>()
  #refusedAt = -1
  #questions: Questions | undefined
  /** By slot. */
  #bySlot = new Float64Array(0)
  /** By slot: since when the node has fitted by its Node object, as `NodeInfo.since` says. */
  #fitting = new Float64Array(0)
  /** The best of each block of slots. */
  #best = new Float64Array(0)
  /** The cluster's, when all scores were those of its nodes. */
  #generation = -1

  /** How many nodes must be looked at to bring the scores up to date, counted up to `limit`. */
  outdated(cluster: SchedulerCluster, limit: number): number {
    return this.#questions === undefined
      ? Math.min(cluster.slots.length, limit)
      : cluster.countChangedSince(this.#generation, limit)
  }

  /** Brings the scores up to date; `pod` is one of the class. */
  refresh(pod: Pod, cluster: SchedulerCluster, plugins: SigningPlugins): void {
    const { slots } = cluster
    this.#questions ??= new Questions(podEssence(pod), cluster, plugins)
    this.#reserve(slots.length)
    cluster.changedSince(this.#generation, (slot) => {
      const node = slots[slot]
      this.#set(slot, node === undefined ? UNFIT : this.#scoreOf(node))
    })
    this.#generation = cluster.generation
    this.examined = 0
  }

  /**
   * A node with the best score, by what was up to date when `refresh` was called; undefined when no node fits. Chance
   * says where the search begins, and so decides among equals.
   */
  best(cluster: SchedulerCluster, relative: readonly Answers[], random: Random): ScoredNode | undefined {
    const { slots } = cluster
    const terms = termsOf(relative)
    const groups = terms.map((term) => term.groups)
    const scores = terms.map((term) => term.scores)
    const bySlot = this.#bySlot
    const bestOf = this.#best
    let highest = 0
    for (const term of terms) highest += term.highest
    let found = NO_SLOT
    let best = UNFIT
    const first = Math.floor(random.next() * slots.length)
    for (let index = 0; index < bestOf.length; index++) {
      const block = (Math.floor(first / BLOCK) + index) % bestOf.length
      if (!(bestOf[block]! + highest > best + EQUAL)) continue
      for (let offset = 0; offset < BLOCK; offset++) {
        const slot = block * BLOCK + ((first + offset) & (BLOCK - 1))
        let score = bySlot[slot]!
        if (!(score + highest > best + EQUAL)) continue
        for (let term = 0; term < terms.length; term++) score += scores[term]![groups[term]![slot]!]!
        if (!(score > best + EQUAL)) continue
        best = score
        found = slot
      }
    }
    return found === NO_SLOT ? undefined : { node: slots[found]!, score: best }
  }

  /** A pod of this class like the one given also in what plugins say in view of all nodes. */
  example(pod: Pod, cluster: SchedulerSnapshot, relative: readonly Answers[]): Example {
    const signature = signatureOf(relative)
    let example = this.#examples.get(signature)
    if (example === undefined) {
      if (this.#examples.size >= EXAMPLES_KEPT) this.#examples.delete(this.#examples.keys().next().value!)
      this.#examples.set(signature, (example = { pod: podEssence(pod), serviceSelector: cluster.serviceSelector(pod) }))
    }
    return example
  }

  /** What was found about a pod of this class that fits nowhere, if nothing has changed since. */
  refusal(cluster: SchedulerCluster, relative: readonly Answers[]): RefusedPlacement | undefined {
    return this.#refusedAt === cluster.generation ? this.#refusals.get(refusalSignature(relative)) : undefined
  }

  keepRefusal(cluster: SchedulerCluster, relative: readonly Answers[], placement: RefusedPlacement): void {
    if (this.#refusedAt !== cluster.generation) this.#refusals.clear()
    this.#refusedAt = cluster.generation
    this.#refusals.set(refusalSignature(relative), placement)
  }

  #scoreOf(node: NodeInfo): number {
    const questions = this.#questions!
    const { slot } = node
    if (this.#fitting[slot] !== node.since) {
      if (!questions.fitsByObject(node)) return UNFIT
      this.#fitting[slot] = node.since
    }
    return questions.fits(node) ? questions.score(node) : UNFIT
  }

  #set(slot: number, score: number): void {
    const before = this.#bySlot[slot]!
    if (score === before) return
    this.#bySlot[slot] = score
    const block = Math.floor(slot / BLOCK)
    if (score > this.#best[block]!) this.#best[block] = score
    else if (before === this.#best[block]) this.#best[block] = this.#bestOf(block)
  }

  #bestOf(block: number): number {
    let best = UNFIT
    for (let slot = block * BLOCK; slot < (block + 1) * BLOCK; slot++)
      if (this.#bySlot[slot]! > best) best = this.#bySlot[slot]!
    return best
  }

  /** Room for so many slots. */
  #reserve(slots: number): void {
    if (slots <= this.#bySlot.length) return
    const blocks = Math.ceil(slots / BLOCK)
    const [bySlot, best, fitting] = [this.#bySlot, this.#best, this.#fitting]
    this.#bySlot = new Float64Array(blocks * BLOCK).fill(UNFIT)
    this.#bySlot.set(bySlot)
    this.#best = new Float64Array(blocks).fill(UNFIT)
    this.#best.set(best)
    this.#fitting = new Float64Array(blocks * BLOCK)
    this.#fitting.set(fitting)
  }
}

/** What counts of the answers, by its weight. */
function termsOf(relative: readonly Answers[]): RelativeTerm[] {
  const terms: RelativeTerm[] = []
  for (const { answers, scores, filters } of relative) {
    if (filters) terms.push(...answers.filters)
    if (scores) terms.push(...answers.scores)
  }
  return terms
}

function signatureOf(relative: readonly Answers[]): string {
  return relative.map(({ answers }) => answers.signature).join('\n')
}

/** Pods of a class with the same one are refused by the same nodes. */
function refusalSignature(relative: readonly Answers[]): string {
  return signatureOf(relative.filter(({ answers, filters }) => filters && answers.filters.length > 0))
}
