/**
 * Where pods go, found out together for all that are alike: pods of one template ask every node the same, and from one
 * of them to the next few nodes change.
 */
import type { Random } from '../../proto/base/random.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type { SchedulerCache } from './cache.ts'
import {
  EquivalenceClass,
  type Example,
  type ScoredNode,
  type Answers,
  type SigningPlugins,
} from './equivalence-class.ts'
import type { Plugins, Shareable } from './framework.ts'
import { explain, feasibleNodesToFind, place, type Placement } from './placement.ts'

/** Classes that are kept, each with a few bytes for every node; the least recently used makes way. */
const CLASSES_KEPT = 256

interface RelativePlugin {
  readonly prepare: NonNullable<Shareable['prepareRelative']>
  readonly weight: number
  readonly filters: boolean
  readonly scores: boolean
}

type PlacingPlugins = Pick<Plugins, 'filters' | 'scores'>

export class EquivalenceCache {
  readonly #cluster: SchedulerCache
  readonly #plugins: PlacingPlugins
  readonly #random: Random
  readonly #signers: readonly NonNullable<Shareable['sign']>[]
  readonly #relative: readonly RelativePlugin[]
  /** Some plugin does not say what its answers depend on. */
  readonly #isUseless: boolean
  readonly #signingPlugins: SigningPlugins
  /** By signature, the least recently used first. */
  readonly #classes = new Map<string, EquivalenceClass>()
  /** At which node of the list nodes are next looked at one by one. */
  #from = 0

  constructor(cluster: SchedulerCache, plugins: PlacingPlugins, random: Random) {
    this.#cluster = cluster
    this.#plugins = plugins
    this.#random = random
    const all = [...new Set([...plugins.filters, ...plugins.scores])]
    this.#signers = [...new Set(all.flatMap(({ sign }) => sign ?? []))]
    this.#relative = all.flatMap((plugin): RelativePlugin | [] => {
      const prepare = plugin.prepareRelative
      const filters = (plugins.filters as readonly object[]).includes(plugin)
      const scoring = plugins.scores.find((one) => one === plugin)
      const weight = scoring?.weight ?? 0
      return prepare === undefined ? [] : { prepare, weight, filters, scores: scoring !== undefined }
    })
    this.#isUseless = all.some(({ sign, prepareRelative }) => (sign === undefined) === (prepareRelative === undefined))
    this.#signingPlugins = {
      filters: plugins.filters.filter(({ sign }) => sign !== undefined),
      scores: plugins.scores.filter(({ sign }) => sign !== undefined),
    }
  }

  /**
   * The best node for a pod, of all that there are; in a large cluster, of those looked at one by one, as long as that
   * is less work than to look at all nodes for the pod's class.
   */
  place(pod: Pod): Placement {
    if (this.#isUseless) return this.#placeAlone(pod)
    const cluster = this.#cluster
    const one = this.#classOf(pod)
    const worth = one.examined + feasibleNodesToFind(cluster.nodes.length)
    if (one.outdated(cluster, worth + 1) > worth) {
      const placement = this.#placeAlone(pod)
      one.examined += placement.examined
      return placement
    }
    const relative = this.#relativeAnswers(pod)
    const known = one.refusal(cluster, relative)
    if (known !== undefined) return known
    one.refresh(pod, cluster, this.#signingPlugins)
    const best = one.best(cluster, relative, this.#random)
    if (best !== undefined) return this.#placed(best, one.example(pod, cluster, relative))
    const placement = place(pod, cluster, this.#plugins, this.#random)
    if (!placement.fits) one.keepRefusal(cluster, relative, placement)
    return placement
  }

  #relativeAnswers(pod: Pod): Answers[] {
    const found: Answers[] = []
    for (const { prepare, weight, filters, scores } of this.#relative) {
      const answers = prepare(pod, this.#cluster, weight)
      if (answers !== undefined) found.push({ answers, filters, scores })
    }
    return found
  }

  /** What was found about each node is told by looking at all of them as they are now, when somebody asks. */
  #placed({ node, score }: ScoredNode, { pod, serviceSelector }: Example): Placement {
    const cluster = this.#cluster
    const plugins = this.#plugins
    const { generation } = cluster
    return {
      fits: true,
      node,
      score,
      examined: cluster.nodes.length,
      explain: () => {
        const then = cluster.at(generation, () => serviceSelector)
        return then && explain(pod, then, plugins)
      },
      isExplained: false,
    }
  }

  #placeAlone(pod: Pod): Placement {
    const placement = place(pod, this.#cluster, this.#plugins, this.#random, { from: this.#from })
    this.#from = (this.#from + placement.examined) % Math.max(1, this.#cluster.nodes.length)
    return placement
  }

  #classOf(pod: Pod): EquivalenceClass {
    let signature = ''
    for (const sign of this.#signers) signature += `${sign(pod, this.#cluster)}\n`
    const found = this.#classes.get(signature) ?? new EquivalenceClass()
    this.#classes.delete(signature)
    this.#classes.set(signature, found)
    if (this.#classes.size > CLASSES_KEPT) this.#classes.delete(this.#classes.keys().next().value!)
    return found
  }
}
