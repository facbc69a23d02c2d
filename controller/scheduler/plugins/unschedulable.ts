import type { Taint } from '../../../proto/gen/types.ts'
import type { FilterPlugin, NodeInfo } from '../framework.ts'
import { tolerates } from './taints.ts'

/**
 * What a cordon counts as for tolerations.
 * https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-unschedulable
 */
const CORDON: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }

/** A cordoned node takes no further pods, but for those that tolerate it. */
export const unschedulable: FilterPlugin = {
  name: 'Unschedulable',
  eventsToRegister: ['node-added', 'node-changed'],
  prepareFilter: (pod) =>
    tolerates(pod, CORDON)
      ? undefined
      : ({ node }: NodeInfo) =>
          node.spec.unschedulable === true ? { reason: 'cordoned', detail: 'is cordoned' } : undefined,
}
