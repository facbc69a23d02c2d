import type { FilterPlugin, NodeInfo } from '../framework.ts'
import { tolerates, UNSCHEDULABLE_TAINT } from '../../../proto/objects/taints.ts'
import { isCordoned } from '../../../proto/objects/node.ts'

/** A cordoned node takes no further pods, but for those that tolerate it. */
export const unschedulable: FilterPlugin = {
  name: 'Unschedulable',
  eventsToRegister: ['node-added', 'node-changed'],
  filtersByNodeObject: true,
  sign: (pod) => (tolerates(pod, UNSCHEDULABLE_TAINT) ? 'tolerated' : ''),
  prepareFilter: (pod) =>
    tolerates(pod, UNSCHEDULABLE_TAINT)
      ? undefined
      : ({ node }: NodeInfo) => (isCordoned(node) ? { reason: 'cordoned', detail: 'is cordoned' } : undefined),
}
