/** Where a pod goes, by looking at nodes one by one: filters, then scores. Pure but for the choice among equals. */
import type { Random } from '../../proto/base/random.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type { ClusterEvent, SchedulerSnapshot, FilterPlugin, NodeInfo, Plugins, FilterRejection } from './framework.ts'
import { summarizeRefusals, type NodeOutcome } from './node-outcome.ts'

/** In large clusters not every node is scored: enough are found when this many fit, or this share if that is more. */
const MIN_FEASIBLE_NODES = 100
const FEASIBLE_NODES_FRACTION = 0.05
/** Scores closer than this are equal: their order would only be that of rounding. */
export const EQUAL = 1e-9

export interface FittingPlacement {
  readonly fits: true
  readonly node: NodeInfo
  readonly score: number
  /** How many nodes were looked at. */
  readonly examined: number
  /** What was found about each of them; undefined once that is too long ago to be known. */
  readonly explain: () => readonly NodeOutcome[] | undefined
  /** That is worked out already, and kept. */
  readonly isExplained: boolean
}

export interface RefusedPlacement {
  readonly fits: false
  readonly examined: number
  readonly outcomes: readonly NodeOutcome[]
  /** The refusals as one sentence. */
  readonly summary: string
  /** Every event that could change one of the refusals. */
  readonly helpedBy: ReadonlySet<ClusterEvent>
}

export type Placement = FittingPlacement | RefusedPlacement

/** Of so many nodes, how many that fit are enough to choose from. */
export function feasibleNodesToFind(nodes: number): number {
  return Math.max(MIN_FEASIBLE_NODES, Math.ceil(nodes * FEASIBLE_NODES_FRACTION))
}

export interface PlaceOptions {
  /** At which node of the list to begin, so that in large clusters all have their turn. Default 0. */
  readonly from?: number
  /** No more nodes are looked at once so many fit. Default: as many as `feasibleNodesToFind` says. */
  readonly enough?: number
}

/** The best node for a pod, of those looked at. */
export function place(
  pod: Pod,
  cluster: SchedulerSnapshot,
  plugins: Pick<Plugins, 'filters' | 'scores'>,
  random: Random,
  options: PlaceOptions = {},
): Placement {
  const { scored, refused, refusing } = examine(pod, cluster, plugins, options)
  const examined = scored.length + refused.length
  if (scored.length === 0) {
    const helpedBy = ['node-added' as const, ...[...refusing].flatMap(({ eventsToRegister }) => eventsToRegister)]
    return refusedPlacement(refused, helpedBy)
  }
  const outcomes = outcomesOf(scored, refused)
  return { fits: true, ...choose(scored, random), examined, explain: () => outcomes, isExplained: true }
}

/** A pod fits none of the nodes that were looked at. */
export function refusedPlacement(
  outcomes: readonly NodeOutcome[],
  helpedBy: readonly ClusterEvent[],
): RefusedPlacement {
  const summary = summarizeRefusals(outcomes)
  return { fits: false, examined: outcomes.length, outcomes, summary, helpedBy: new Set(helpedBy) }
}

/** What is found about every node. */
export function explain(
  pod: Pod,
  cluster: SchedulerSnapshot,
  plugins: Pick<Plugins, 'filters' | 'scores'>,
): readonly NodeOutcome[] {
  const { scored, refused } = examine(pod, cluster, plugins, { enough: Infinity })
  return outcomesOf(scored, refused)
}

function outcomesOf(scored: readonly Scored[], refused: readonly NodeOutcome[]): NodeOutcome[] {
  return [...scored.map(({ node, score }): NodeOutcome => ({ node: node.name, fits: true, score })), ...refused]
}

interface Examination {
  readonly scored: readonly Scored[]
  readonly refused: readonly NodeOutcome[]
  readonly refusing: ReadonlySet<FilterPlugin>
}

function examine(
  pod: Pod,
  cluster: SchedulerSnapshot,
  plugins: Pick<Plugins, 'filters' | 'scores'>,
  { from = 0, enough = feasibleNodesToFind(cluster.nodes.length) }: PlaceOptions,
): Examination {
  const { nodes } = cluster
  const filters = plugins.filters.flatMap((plugin) => {
    const filter = plugin.prepareFilter(pod, cluster)
    return filter === undefined ? [] : [{ plugin, filter }]
  })
  const fitting: NodeInfo[] = []
  const outcomes: NodeOutcome[] = []
  const refusing = new Set<FilterPlugin>()
  for (let index = 0; index < nodes.length && fitting.length < enough; index++) {
    const node = nodes[(from + index) % nodes.length]!
    const refused = firstRefusal(filters, node)
    if (refused === undefined) {
      fitting.push(node)
      continue
    }
    refusing.add(refused.plugin)
    outcomes.push({ node: node.name, fits: false, plugin: refused.plugin.name, refusal: refused.refusal })
  }
  const scored = fitting.length === 0 ? [] : score(pod, cluster, plugins, fitting)
  return { scored, refused: outcomes, refusing }
}

function firstRefusal(
  filters: readonly { plugin: FilterPlugin; filter: (node: NodeInfo) => FilterRejection | undefined }[],
  node: NodeInfo,
): { plugin: FilterPlugin; refusal: FilterRejection } | undefined {
  for (const { plugin, filter } of filters) {
    const refusal = filter(node)
    if (refusal !== undefined) return { plugin, refusal }
  }
  return undefined
}

interface Scored {
  readonly node: NodeInfo
  readonly score: number
}

function score(
  pod: Pod,
  cluster: SchedulerSnapshot,
  { scores }: Pick<Plugins, 'scores'>,
  nodes: readonly NodeInfo[],
): Scored[] {
  const wishes = scores.flatMap(({ weight, prepareScore }) => {
    const wish = prepareScore(pod, cluster)
    return wish === undefined ? [] : [{ weight, wish }]
  })
  return nodes.map((node) => ({ node, score: wishes.reduce((sum, { weight, wish }) => sum + weight * wish(node), 0) }))
}

/** One of the best, by chance: of nodes that are alike none is always the first to be filled. */
function choose(scored: readonly Scored[], random: Random): Scored {
  let best = scored[0]!
  let alike = 1
  for (const candidate of scored.slice(1)) {
    if (candidate.score > best.score + EQUAL) {
      best = candidate
      alike = 1
    } else if (candidate.score > best.score - EQUAL && random.next() < 1 / ++alike) best = candidate
  }
  return best
}
