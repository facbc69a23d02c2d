/**
 * What counts where pods are spread.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
 */
import { isCordoned } from '../../../proto/objects/node.ts'
import { LabelMatcher, labelSelectorMatcher } from '../../../proto/objects/selector.ts'
import { repellingTaint } from '../../../proto/objects/taints.ts'
import type { Pod, PodSpec, TopologySpreadConstraint } from '../../../proto/gen/types.ts'
import type { NodeInfo } from '../framework.ts'
import { missingLabel } from './node-selector.ts'

export function constraintsOf(
  { spec: { topologySpreadConstraints = [] } }: Pod,
  when: TopologySpreadConstraint['whenUnsatisfiable'],
): TopologySpreadConstraint[] {
  return topologySpreadConstraints.filter(({ whenUnsatisfiable }) => whenUnsatisfiable === when)
}

/** Pods of the namespace that match and are not being deleted. */
export function countMatching({ pods }: NodeInfo, namespace: string, matcher: LabelMatcher): number {
  let count = 0
  for (const pod of pods) if (pod.namespace === namespace && !pod.isDeleting && matcher.matches(pod.labels)) count++
  return count
}

/** The pods that count for a constraint of this one. */
export function matcherOf({ labelSelector, matchLabelKeys = [] }: TopologySpreadConstraint, pod: Pod): LabelMatcher {
  const selected = labelSelectorMatcher(labelSelector)
  if (labelSelector === undefined) return selected
  const same = matchLabelKeys.flatMap((key) => {
    const value = pod.metadata.labels?.[key]
    return value === undefined ? [] : [{ key, operator: 'In' as const, values: [value] }]
  })
  return new LabelMatcher([...selected.requirements, ...same])
}

/** The node is one of those over which the pod could be spread. `constraints`: all that hold together with this one. */
export function isEligible(
  { nodeAffinityPolicy = 'Honor', nodeTaintsPolicy = 'Ignore' }: TopologySpreadConstraint,
  constraints: readonly TopologySpreadConstraint[],
  spec: Pick<PodSpec, 'nodeSelector' | 'tolerations'>,
  node: NodeInfo,
): boolean {
  if (!constraints.every(({ topologyKey }) => node.node.metadata.labels?.[topologyKey] !== undefined)) return false
  if (nodeAffinityPolicy === 'Honor' && missingLabel(spec, node) !== undefined) return false
  return nodeTaintsPolicy === 'Ignore' || (repellingTaint({ spec }, node.node) === undefined && !isCordoned(node.node))
}
