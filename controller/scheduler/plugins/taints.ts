/**
 * Taints keep pods away that do not tolerate them.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
 */
import type { Pod, Taint, Toleration } from '../../../proto/gen/types.ts'
import type { FilterPlugin, NodeInfo, ScorePlugin } from '../framework.ts'

/**
 * The pod's first toleration of the taint: same effect (or any), same key (or any, with Exists), same value (or
 * Exists).
 */
export function tolerationOf(pod: Pod, taint: Taint): Toleration | undefined {
  return pod.spec.tolerations?.find(({ key = '', operator = 'Equal', value = '', effect }) => {
    if (effect !== undefined && effect !== taint.effect) return false
    if (key === '') return operator === 'Exists'
    return key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''))
  })
}

export function tolerates(pod: Pod, taint: Taint): boolean {
  return tolerationOf(pod, taint) !== undefined
}

/** The first taint of the node that keeps the pod off it. */
export function repellingTaint(pod: Pod, { node }: NodeInfo): Taint | undefined {
  return node.spec.taints?.find((taint) => taint.effect !== 'PreferNoSchedule' && !tolerates(pod, taint))
}

export function formatTaint({ key, value, effect }: Taint): string {
  return `${key}${value === undefined || value === '' ? '' : `=${value}`}:${effect}`
}

export const taints: FilterPlugin & ScorePlugin = {
  name: 'Taints',
  eventsToRegister: ['node-added', 'node-changed'],
  weight: 3,
  prepareFilter: (pod) => (node) => {
    const taint = repellingTaint(pod, node)
    return taint === undefined
      ? undefined
      : { reason: `tainted ${formatTaint(taint)}`, detail: `the pod does not tolerate the taint ${formatTaint(taint)}` }
  },
  /** Fewer taints that prefer the pod elsewhere are better. */
  prepareScore(pod, { nodes }) {
    if (!nodes.some(({ node }) => node.spec.taints?.some(({ effect }) => effect === 'PreferNoSchedule')))
      return undefined
    return ({ node }: NodeInfo) => {
      const against = (node.spec.taints ?? []).filter(
        (taint) => taint.effect === 'PreferNoSchedule' && !tolerates(pod, taint),
      ).length
      return 100 / (1 + against)
    }
  },
}
