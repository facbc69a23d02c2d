/**
 * Pods that belong together are spread: as topologySpreadConstraints ask. Those of a pod without any are spread over
 * nodes and zones by default if they have one owner, or if the same Services select them.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
 */
import { labelSelectorMatcher } from '../../../proto/objects/selector.ts'
import type { Pod, TopologySpreadConstraint } from '../../../proto/gen/types.ts'
import type { SchedulerSnapshot, FilterPlugin, NodeInfo, ScorePlugin } from '../framework.ts'
import { controllerOf } from '../../../proto/objects/owners.ts'
import { relativeSpread } from './spread-relative.ts'
import { constraintsOf, countMatching, isEligible, matcherOf } from './spread-rules.ts'

interface Domains {
  readonly constraint: TopologySpreadConstraint
  /** Matching pods per value of the topology key, over the nodes that count. */
  readonly counts: ReadonlyMap<string, number>
  /** What every domain has at least; 0 while there are fewer domains than minDomains. */
  readonly least: number
  /** The pod itself matches the selector: it will count where it is placed. */
  readonly own: 0 | 1
}

export const spread: FilterPlugin & ScorePlugin = {
  name: 'Spread',
  eventsToRegister: ['node-added', 'node-changed', 'node-removed', 'pod-added', 'pod-changed', 'pod-removed'],
  weight: 3,
  prepareFilter(pod, cluster) {
    const all = domainsOf(pod, cluster, 'DoNotSchedule')
    if (all.length === 0) return undefined
    return (node) => {
      for (const {
        constraint: { topologyKey, maxSkew },
        counts,
        least,
        own,
      } of all) {
        const value = node.node.metadata.labels?.[topologyKey]
        if (value === undefined)
          return {
            reason: `without label ${topologyKey}`,
            detail: `has no label ${topologyKey}, over which the pod is to be spread`,
          }
        const here = counts.get(value) ?? 0
        const skew = here + own - least
        if (skew > maxSkew) {
          return {
            reason: `uneven spread over ${topologyKey}`,
            detail: `${topologyKey}=${value} has ${here} such pods, another only ${least}: one more is a skew of ${skew}, ${maxSkew} is allowed`,
            shortage: { amount: skew - maxSkew, text: String(skew - maxSkew) },
          }
        }
      }
      return undefined
    }
  },
  prepareRelative: relativeSpread,
  prepareScore(pod, cluster) {
    const wishes = domainsOf(pod, cluster, 'ScheduleAnyway').map(({ constraint: { topologyKey }, counts }) => {
      const most = Math.max(1, ...counts.values())
      return (node: NodeInfo): number => {
        const value = node.node.metadata.labels?.[topologyKey]
        return value === undefined ? 0 : 100 * (1 - (counts.get(value) ?? 0) / most)
      }
    })
    if (wishes.length === 0)
      return (pod.spec.topologySpreadConstraints ?? []).length === 0 ? spreadByDefault(pod, cluster) : undefined
    return (node) => wishes.reduce((sum, wish) => sum + wish(node), 0) / wishes.length
  },
}

/**
 * The fewer pods of its kind a node and its zone have, the better. The two add up as in Kubernetes' default
 * constraints: what counts of a topology grows with the number of its domains.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#internal-default-constraints
 */
function spreadByDefault(pod: Pod, cluster: SchedulerSnapshot): ((node: NodeInfo) => number) | undefined {
  const perNode = similarPods(pod, cluster)
  if (perNode === undefined || perNode.size === 0) return undefined
  const perZone = new Map<string, number>()
  for (const [name, count] of perNode) {
    const zone = cluster.node(name)?.zone
    if (zone !== undefined) perZone.set(zone, (perZone.get(zone) ?? 0) + count)
  }
  const nodeWeight = Math.log(cluster.nodes.length + 2)
  const zoneWeight = perZone.size === 0 ? 0 : Math.log(cluster.zones + 2)
  const cost = (name: string, zone: string | undefined): number =>
    nodeWeight * (perNode.get(name) ?? 0) + (zone === undefined ? 0 : zoneWeight * (perZone.get(zone) ?? 0))
  let most = 0
  for (const name of perNode.keys()) most = Math.max(most, cost(name, cluster.node(name)?.zone))
  return ({ name, zone }) => 100 * (1 - cost(name, zone) / most)
}

/**
 * How many pods each node has that have the pod's owner or, for a pod without an owner, that the Services select which
 * select it.
 */
function similarPods(pod: Pod, cluster: SchedulerSnapshot): ReadonlyMap<string, number> | undefined {
  const owner = controllerOf(pod)?.uid
  if (owner !== undefined) return cluster.podsOfOwner(owner)
  const selector = cluster.serviceSelector(pod)
  if (selector === undefined) return undefined
  const matcher = labelSelectorMatcher({ matchLabels: selector })
  const counts = new Map<string, number>()
  for (const node of cluster.nodes) {
    const count = countMatching(node, pod.metadata.namespace, matcher)
    if (count > 0) counts.set(node.name, count)
  }
  return counts
}

function domainsOf(
  pod: Pod,
  cluster: SchedulerSnapshot,
  when: TopologySpreadConstraint['whenUnsatisfiable'],
): Domains[] {
  const constraints = constraintsOf(pod, when)
  return constraints.map((constraint) => {
    const matcher = matcherOf(constraint, pod)
    const counts = new Map<string, number>()
    for (const node of cluster.nodes) {
      const value = node.node.metadata.labels?.[constraint.topologyKey]
      if (value === undefined || !isEligible(constraint, constraints, pod.spec, node)) continue
      counts.set(value, (counts.get(value) ?? 0) + countMatching(node, pod.metadata.namespace, matcher))
    }
    const least = counts.size < (constraint.minDomains ?? 1) ? 0 : Math.min(...counts.values())
    return { constraint, counts, least, own: matcher.matches(pod.metadata.labels) ? 1 : 0 }
  })
}
