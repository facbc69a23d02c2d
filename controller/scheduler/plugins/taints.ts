/**
 * Taints keep pods away that do not tolerate them.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
 */
import { formatTaint, isSoftTaint, repellingTaint, tolerates } from '../../../proto/objects/taints.ts'
import type { FilterPlugin, NodeInfo, ScorePlugin } from '../framework.ts'

export const taints: FilterPlugin & ScorePlugin = {
  name: 'Taints',
  eventsToRegister: ['node-added', 'node-changed'],
  weight: 3,
  filtersByNodeObject: true,
  sign: ({ spec: { tolerations } }, { hasSoftTaints }) =>
    `${hasSoftTaints}${tolerations === undefined ? '' : JSON.stringify(tolerations)}`,
  prepareFilter: (pod) => (node) => {
    const taint = repellingTaint(pod, node.node)
    return taint === undefined
      ? undefined
      : { reason: `tainted ${formatTaint(taint)}`, detail: `the pod does not tolerate the taint ${formatTaint(taint)}` }
  },
  /** Fewer taints that prefer the pod elsewhere are better. */
  prepareScore(pod, { hasSoftTaints }) {
    if (!hasSoftTaints) return undefined
    return ({ node }: NodeInfo) => {
      const against = (node.spec.taints ?? []).filter((taint) => isSoftTaint(taint) && !tolerates(pod, taint)).length
      return 100 / (1 + against)
    }
  },
}
