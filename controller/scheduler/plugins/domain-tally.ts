/** The matching pods of each domain of a topology, kept up as nodes change. */
import type { LabelMatcher } from '../../../proto/objects/selector.ts'
import type { NodeInfo, RelativeTerm, SchedulerCluster } from '../framework.ts'
import { CountHistogram } from './count-histogram.ts'
import { countMatching } from './spread-rules.ts'

/** The domain of nodes that have no value of the topology's key, and of slots without a node. */
const NO_DOMAIN = 0
/** Instead of a number of pods: those of a node over which no pod could be spread are not counted. */
const NOT_ELIGIBLE = -1
/** Values that are remembered besides two for each slot: those of nodes that went would add up. */
const SPARE_DOMAINS = 64

export interface CountedTopology {
  /** Nodes with the same value of this label are one domain. */
  readonly topologyKey: string
  readonly namespace: string
  readonly matcher: LabelMatcher
  readonly isEligible: (node: NodeInfo) => boolean
}

interface Domain {
  nodes: number
  /** Of its nodes, those over which the pod could be spread. */
  eligible: number
  /** Matching pods on these. */
  pods: number
  hasChanged: boolean
}

/** What is said of domains, by how many pods they have. */
interface Scoring {
  /** What is said changes with this. */
  readonly key: number
  readonly none: number
  readonly scoreOf: (pods: number) => number
}

export class DomainTally {
  readonly #topology: CountedTopology
  readonly #byValue = new Map<string, number>()
  readonly #domains: Domain[] = []
  /** Pods of the domains that have eligible nodes. */
  #eligible = new CountHistogram()
  /** Pods of all domains that have nodes. */
  #all = new CountHistogram()
  /** By slot: the node's domain, and the matching pods on it. */
  #bySlot = new Int32Array(0)
  #matching = new Int32Array(0)
  #generation = -1
  /** What was said last, by domain, and those domains that have changed since. */
  #scores = new Float64Array(0)
  #scoredBy: number | undefined
  readonly #changed: number[] = []

  constructor(topology: CountedTopology) {
    this.#topology = topology
    this.#reset()
  }

  refresh(cluster: SchedulerCluster): void {
    const { slots } = cluster
    if (this.#domains.length > 2 * slots.length + SPARE_DOMAINS) this.#reset()
    if (slots.length > this.#bySlot.length) {
      const [bySlot, matching] = [this.#bySlot, this.#matching]
      this.#bySlot = new Int32Array(2 * slots.length)
      this.#bySlot.set(bySlot)
      this.#matching = new Int32Array(2 * slots.length).fill(NOT_ELIGIBLE)
      this.#matching.set(matching)
    }
    cluster.changedSince(this.#generation, (slot) => this.#set(slot, slots[slot]))
    this.#generation = cluster.generation
  }

  /**
   * Refuses nodes without a domain, and those of domains that would have more pods than the emptiest by more than
   * `maxSkew`; with less than `minDomains` the emptiest has none. `own`: how many the pod itself counts.
   */
  limit({ maxSkew, minDomains }: { readonly maxSkew: number; readonly minDomains: number }, own: 0 | 1): RelativeTerm {
    const least = this.#eligible.size < minDomains ? 0 : this.#eligible.least
    const most = maxSkew + least - own
    return this.#term({ key: most, none: -Infinity, scoreOf: (pods) => (pods > most ? -Infinity : 0) }, 0)
  }

  /** Prefers nodes of domains with few pods: up to `points`, 0 for nodes without a domain. */
  wish(points: number): RelativeTerm {
    const fullest = Math.max(1, this.#eligible.most)
    const scoreOf = (pods: number): number => points * (1 - pods / fullest)
    return this.#term({ key: fullest, none: 0, scoreOf }, scoreOf(this.#all.least))
  }

  #term({ key, none, scoreOf }: Scoring, highest: number): RelativeTerm {
    if (this.#scoredBy !== key || this.#scores.length < this.#domains.length) {
      this.#scores = new Float64Array(Math.max(this.#scores.length, 2 * this.#domains.length))
      this.#scores.fill(none, 0, 1)
      for (let domain = 1; domain < this.#domains.length; domain++)
        this.#scores[domain] = scoreOf(this.#domains[domain]!.pods)
    } else for (const domain of this.#changed) this.#scores[domain] = scoreOf(this.#domains[domain]!.pods)
    for (const domain of this.#changed) this.#domains[domain]!.hasChanged = false
    this.#changed.length = 0
    this.#scoredBy = key
    return { groups: this.#bySlot, scores: this.#scores, highest }
  }

  #set(slot: number, node: NodeInfo | undefined): void {
    const { topologyKey, namespace, matcher, isEligible } = this.#topology
    const before = this.#bySlot[slot]!
    const had = this.#matching[slot]!
    const value = node?.node.metadata.labels?.[topologyKey]
    const after = value === undefined ? NO_DOMAIN : this.#domain(value)
    const has = value !== undefined && isEligible(node!) ? countMatching(node!, namespace, matcher) : NOT_ELIGIBLE
    this.#bySlot[slot] = after
    this.#matching[slot] = has
    if (before === after) this.#change(after, 0, eligibility(has) - eligibility(had), podsOf(has) - podsOf(had))
    else {
      this.#change(before, -1, -eligibility(had), -podsOf(had))
      this.#change(after, 1, eligibility(has), podsOf(has))
    }
  }

  #change(index: number, nodes: number, eligible: number, pods: number): void {
    if (index === NO_DOMAIN || (nodes === 0 && eligible === 0 && pods === 0)) return
    const domain = this.#domains[index]!
    const before = { ...domain }
    domain.nodes += nodes
    domain.eligible += eligible
    domain.pods += pods
    recount(this.#all, before.nodes > 0, before.pods, domain.nodes > 0, domain.pods)
    recount(this.#eligible, before.eligible > 0, before.pods, domain.eligible > 0, domain.pods)
    if (domain.hasChanged) return
    domain.hasChanged = true
    this.#changed.push(index)
  }

  #domain(value: string): number {
    let domain = this.#byValue.get(value)
    if (domain === undefined) {
      this.#byValue.set(value, (domain = this.#domains.length))
      this.#domains.push({ nodes: 0, eligible: 0, pods: 0, hasChanged: false })
    }
    return domain
  }

  #reset(): void {
    this.#byValue.clear()
    this.#domains.length = this.#changed.length = 0
    this.#domains.push({ nodes: 0, eligible: 0, pods: 0, hasChanged: false }) // NO_DOMAIN
    this.#eligible = new CountHistogram()
    this.#all = new CountHistogram()
    this.#bySlot = new Int32Array(0)
    this.#matching = new Int32Array(0)
    this.#generation = -1
    this.#scoredBy = undefined
  }
}

function eligibility(matching: number): 0 | 1 {
  return matching === NOT_ELIGIBLE ? 0 : 1
}

function podsOf(matching: number): number {
  return matching === NOT_ELIGIBLE ? 0 : matching
}

function recount(histogram: CountHistogram, was: boolean, before: number, is: boolean, after: number): void {
  if (was && is) histogram.move(before, after)
  else if (was) histogram.remove(before)
  else if (is) histogram.add(after)
}
