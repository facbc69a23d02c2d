/** What placing looks at of a node. */
import type { Node, Taint } from '../../proto/gen/types.ts'
import { sameJson } from '../../proto/base/json.ts'
import { readyCondition } from '../../proto/objects/node.ts'

export function zoneOf({ metadata }: Node): string | undefined {
  return metadata.labels?.['topology.kubernetes.io/zone']
}

export type NodeDifference =
  | 'none'
  /** What is told of it to people reads otherwise; no pod fits that did not. */
  | 'wording'
  | 'placing'

/** Signs of life come often, and make no difference. */
export function nodeDifference(before: Node, after: Node): NodeDifference {
  const [was, is] = [readyCondition(before), readyCondition(after)]
  if (
    was?.status !== is?.status ||
    before.spec.unschedulable !== after.spec.unschedulable ||
    !sameJson(before.metadata.labels, after.metadata.labels) ||
    !sameJson(before.status.allocatable, after.status.allocatable) ||
    !sameTaints(before.spec.taints, after.spec.taints)
  )
    return 'placing'
  // Of a node that is ready nothing more is told.
  return is?.status === 'True' || sameJson(was, is) ? 'none' : 'wording'
}

function sameTaints(before: readonly Taint[] = [], after: readonly Taint[] = []): boolean {
  return (
    before.length === after.length &&
    before.every(({ key, value, effect }, index) => {
      const other = after[index]!
      return key === other.key && value === other.value && effect === other.effect
    })
  )
}
