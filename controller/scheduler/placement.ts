/** Where a pod goes: filters, then scores, over the nodes of the cluster. Pure but for the choice among equals. */
import type { Random } from '../../proto/base/random.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type { ClusterEvent, SchedulerSnapshot, FilterPlugin, NodeInfo, Plugins, FilterRejection } from './framework.ts'

/** In large clusters not every node is scored: enough are found when this many fit, or this share if that is more. */
const MIN_FEASIBLE_NODES = 100
const FEASIBLE_NODES_FRACTION = 0.05
/** Scores closer than this are equal: their order would only be that of rounding. */
const EQUAL = 1e-9

export type NodeOutcome =
  | { readonly node: string; readonly fits: true; readonly score: number }
  | { readonly node: string; readonly fits: false; readonly plugin: string; readonly refusal: FilterRejection }

export type Placement =
  | { readonly fits: true; readonly node: NodeInfo; readonly score: number; readonly outcomes: readonly NodeOutcome[] }
  /** `helpedBy` is every event that could change one of the refusals. */
  | { readonly fits: false; readonly outcomes: readonly NodeOutcome[]; readonly helpedBy: ReadonlySet<ClusterEvent> }

/**
 * The best node for a pod. `from` says at which node of the list to begin, so that in large clusters all have their
 * turn; all nodes are looked at unless enough fit before.
 */
export function place(
  pod: Pod,
  cluster: SchedulerSnapshot,
  plugins: Pick<Plugins, 'filters' | 'scores'>,
  random: Random,
  from = 0,
): Placement {
  const { nodes } = cluster
  const filters = plugins.filters.flatMap((plugin) => {
    const filter = plugin.prepareFilter(pod, cluster)
    return filter === undefined ? [] : [{ plugin, filter }]
  })
  const enough = Math.max(MIN_FEASIBLE_NODES, Math.ceil(nodes.length * FEASIBLE_NODES_FRACTION))
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
  if (fitting.length === 0)
    return {
      fits: false,
      outcomes,
      helpedBy: new Set<ClusterEvent>([
        'node-added',
        ...[...refusing].flatMap(({ eventsToRegister: helpedBy }) => helpedBy),
      ]),
    }
  const scored = score(pod, cluster, plugins, fitting)
  const best = choose(scored, random)
  return {
    fits: true,
    ...best,
    outcomes: [
      ...scored.map(({ node, score: value }): NodeOutcome => ({ node: node.name, fits: true, score: value })),
      ...outcomes,
    ],
  }
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
