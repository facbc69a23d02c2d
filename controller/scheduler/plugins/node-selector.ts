import type { PodSpec } from '../../../proto/gen/types.ts'
import type { FilterPlugin, NodeInfo } from '../framework.ts'

/** The node has every label of spec.nodeSelector. */
export const nodeSelector: FilterPlugin = {
  name: 'NodeSelector',
  eventsToRegister: ['node-added', 'node-changed'],
  filtersByNodeObject: true,
  sign: ({ spec: { nodeSelector: asked } }) => (asked === undefined ? '' : JSON.stringify(asked)),
  prepareFilter(pod) {
    if (Object.keys(pod.spec.nodeSelector ?? {}).length === 0) return undefined
    return (node) => {
      const missing = missingLabel(pod.spec, node)
      if (missing === undefined) return undefined
      const [key, value] = missing
      const has = node.node.metadata.labels?.[key]
      return {
        reason: 'other labels than spec.nodeSelector',
        detail: `label ${key}=${value} is asked for, the node has ${has === undefined ? 'none' : `${key}=${has}`}`,
      }
    }
  },
}

/** The first label that the pod asks for and the node does not have. */
export function missingLabel(
  { nodeSelector: asked = {} }: Pick<PodSpec, 'nodeSelector'>,
  { node }: NodeInfo,
): [string, string] | undefined {
  return Object.entries(asked).find(([key, value]) => node.metadata.labels?.[key] !== value)
}
