/**
 * Pods that belong together are spread: as topologySpreadConstraints ask, and by default those of one owner over the nodes.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
 */
import { LabelMatcher, labelSelectorMatcher } from '../../../proto/api/selector.ts'
import type { Pod, TopologySpreadConstraint } from '../../../proto/gen/types.ts'
import { ownerOf } from '../cache.ts'
import type { ClusterView, FilterPlugin, NodeView, ScorePlugin } from '../framework.ts'
import { missingLabel } from './node-selector.ts'
import { repellingTaint } from './taints.ts'

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
  helpedBy: ['node-added', 'node-changed', 'node-removed', 'pod-added', 'pod-changed', 'pod-removed'],
  weight: 3,
  prepareFilter(pod, cluster) {
    const all = domainsOf(pod, cluster, 'DoNotSchedule')
    if (all.length === 0) return undefined
    return (node) => {
      for (const { constraint: { topologyKey, maxSkew }, counts, least, own } of all) {
        const value = node.node.metadata.labels?.[topologyKey]
        if (value === undefined) return { reason: `without label ${topologyKey}`, detail: `has no label ${topologyKey}, over which the pod is to be spread` }
        const here = counts.get(value) ?? 0
        const skew = here + own - least
        if (skew > maxSkew) {
          return { reason: `uneven spread over ${topologyKey}`, detail: `${topologyKey}=${value} has ${here} such pods, another only ${least}: one more is a skew of ${skew}, ${maxSkew} is allowed`, shortage: { amount: skew - maxSkew, text: String(skew - maxSkew) } }
        }
      }
      return undefined
    }
  },
  prepareScore(pod, cluster) {
    const wishes = domainsOf(pod, cluster, 'ScheduleAnyway').map(({ constraint: { topologyKey }, counts }) => {
      const most = Math.max(1, ...counts.values())
      return (node: NodeView): number => {
        const value = node.node.metadata.labels?.[topologyKey]
        return value === undefined ? 0 : 100 * (1 - (counts.get(value) ?? 0) / most)
      }
    })
    const byOwner = spreadOwner(pod, cluster)
    if (byOwner !== undefined) wishes.push(byOwner)
    if (wishes.length === 0) return undefined
    return (node) => wishes.reduce((sum, wish) => sum + wish(node), 0) / wishes.length
  },
}

/** The fewer pods of the same owner a node has, the better. */
function spreadOwner(pod: Pod, cluster: ClusterView): ((node: NodeView) => number) | undefined {
  const owner = ownerOf(pod)
  const counts = owner === undefined ? undefined : cluster.podsOfOwner(owner)
  if (counts === undefined || counts.size === 0) return undefined
  let most = 0
  for (const count of counts.values()) most = Math.max(most, count)
  return ({ name }) => 100 * (1 - (counts.get(name) ?? 0) / most)
}

function domainsOf(pod: Pod, cluster: ClusterView, when: TopologySpreadConstraint['whenUnsatisfiable']): Domains[] {
  const constraints = (pod.spec.topologySpreadConstraints ?? []).filter(({ whenUnsatisfiable }) => whenUnsatisfiable === when)
  return constraints.map((constraint) => {
    const matcher = matcherOf(constraint, pod)
    const counts = new Map<string, number>()
    for (const node of cluster.nodes) {
      const value = node.node.metadata.labels?.[constraint.topologyKey]
      if (value === undefined || !isEligible(constraint, constraints, pod, node)) continue
      let count = counts.get(value) ?? 0
      for (const other of node.pods.values()) {
        if (other.metadata.namespace === pod.metadata.namespace && other.metadata.deletionTimestamp === undefined && matcher.matches(other.metadata.labels)) count++
      }
      counts.set(value, count)
    }
    const least = counts.size < (constraint.minDomains ?? 1) ? 0 : Math.min(...counts.values())
    return { constraint, counts, least, own: matcher.matches(pod.metadata.labels) ? 1 : 0 }
  })
}

function matcherOf({ labelSelector, matchLabelKeys = [] }: TopologySpreadConstraint, pod: Pod): LabelMatcher {
  const selected = labelSelectorMatcher(labelSelector)
  if (labelSelector === undefined) return selected
  const same = matchLabelKeys.flatMap((key) => {
    const value = pod.metadata.labels?.[key]
    return value === undefined ? [] : [{ key, operator: 'In' as const, values: [value] }]
  })
  return new LabelMatcher([...selected.requirements, ...same])
}

/** The node is one of those over which the pod could be spread. */
function isEligible({ nodeAffinityPolicy = 'Honor', nodeTaintsPolicy = 'Ignore' }: TopologySpreadConstraint, constraints: readonly TopologySpreadConstraint[], pod: Pod, node: NodeView): boolean {
  if (!constraints.every(({ topologyKey }) => node.node.metadata.labels?.[topologyKey] !== undefined)) return false
  if (nodeAffinityPolicy === 'Honor' && missingLabel(pod, node) !== undefined) return false
  return nodeTaintsPolicy === 'Ignore' || (repellingTaint(pod, node) === undefined && node.node.spec.unschedulable !== true)
}
