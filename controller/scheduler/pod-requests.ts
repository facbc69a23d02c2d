/** What pods take of nodes, as placing counts it; worked out once for each state of a pod. */
import type { Pod } from '../../proto/gen/types.ts'
import { podRequestAmounts } from '../../proto/objects/pod-resources.ts'
import { addAmounts, type ResourceAmounts } from '../../proto/objects/resource-amounts.ts'

/**
 * What a container that states no request counts as where nodes are compared (and nowhere else), so that pods without
 * requests do not all go to one node. The figures are those of Kubernetes' scheduler.
 */
const DEFAULT_REQUESTS = { cpu: '100m', memory: '200Mi' }

const requestsCache = new WeakMap<Pod, ResourceAmounts>()
const defaultedRequestsCache = new WeakMap<Pod, ResourceAmounts>()

/** What the pod holds of its node or asks for, whichever is more, and one of "pods". */
export function requestedAmounts(pod: Pod): ResourceAmounts {
  let requests = requestsCache.get(pod)
  if (requests === undefined)
    requestsCache.set(pod, (requests = podRequestAmounts(pod, { withStatus: true }).set('pods', 1)))
  return requests
}

/**
 * By how much a pod counts as more than it requests where nodes are compared. Empty if each container requests cpu and
 * memory.
 */
export function defaultedRequests(pod: Pod): ResourceAmounts {
  let defaulted = defaultedRequestsCache.get(pod)
  if (defaulted === undefined) {
    const difference = podRequestAmounts(pod, { withStatus: true, defaults: DEFAULT_REQUESTS }).set('pods', 1)
    addAmounts(difference, requestedAmounts(pod), -1)
    defaultedRequestsCache.set(pod, (defaulted = difference))
  }
  return defaulted
}
