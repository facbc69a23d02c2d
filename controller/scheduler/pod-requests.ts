/** What pods take of nodes, as placing counts it; worked out once for all pods that ask for the same. */
import type { ContainerStatus, Pod } from '../../proto/gen/types.ts'
import { findCondition } from '../../proto/objects/conditions.ts'
import { podRequestAmounts } from '../../proto/objects/pod-resources.ts'
import { addAmounts, type ResourceAmounts } from '../../proto/objects/resource-amounts.ts'

/**
 * What a container that states no request counts as where nodes are compared (and nowhere else), so that pods without
 * requests do not all go to one node. The figures are those of Kubernetes' scheduler.
 */
const DEFAULT_REQUESTS = { cpu: '100m', memory: '200Mi' }

/** Of pods that ask for the same there are many: the amounts of so many different ones are kept. */
const POD_AMOUNTS_CACHE_SIZE = 4_096
/** Characters of the longest key that is kept: pods of very many containers would fill the memory. */
const MAX_CACHED_KEY_LENGTH = 4_096

export interface PodAmounts {
  /** What the pod holds of its node or asks for, whichever is more, and one of "pods". */
  readonly requested: ResourceAmounts
  /**
   * By how much it counts as more than it requests where nodes are compared. Empty if each container requests cpu and
   * memory.
   */
  readonly defaulted: ResourceAmounts
  /** Pods with the same one have the same amounts. */
  readonly signature: string
}

/** Emptied when it is full: to find the oldest in a map takes longer the more have been deleted before it. */
const known = new Map<string, PodAmounts>()

/** The pod that was asked about last: one is asked about several times in a row. */
let last: { readonly pod: Pod; readonly amounts: PodAmounts } | undefined

/** The same object for pods that ask for the same, as long as it is kept; what takes very long to say is not. */
export function podAmounts(pod: Pod): PodAmounts {
  if (last?.pod !== pod) last = { pod, amounts: amountsOf(pod) }
  return last.amounts
}

function amountsOf(pod: Pod): PodAmounts {
  const key = amountsKey(pod)
  if (key.length > MAX_CACHED_KEY_LENGTH) return sumUp(pod)
  let amounts = known.get(key)
  if (amounts === undefined) {
    if (known.size >= POD_AMOUNTS_CACHE_SIZE) known.clear()
    known.set(key, (amounts = sumUp(pod)))
  }
  return amounts
}

export function requestedAmounts(pod: Pod): ResourceAmounts {
  return podAmounts(pod).requested
}

export function defaultedRequests(pod: Pod): ResourceAmounts {
  return podAmounts(pod).defaulted
}

function sumUp(pod: Pod): PodAmounts {
  const requested = podRequestAmounts(pod, { withStatus: true }).set('pods', 1)
  const defaulted = podRequestAmounts(pod, { withStatus: true, defaults: DEFAULT_REQUESTS }).set('pods', 1)
  addAmounts(defaulted, requested, -1)
  return { requested, defaulted, signature: JSON.stringify([[...requested], [...defaulted]]) }
}

/** Everything of a pod that its sums depend on. */
function amountsKey({ spec, status }: Pod): string {
  const { containers, initContainers, resources, overhead } = spec
  const granted = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])].filter(grantsOrTells)
  const pending = findCondition(status?.conditions, 'PodResizePending')
  return JSON.stringify([
    containers.map((container) => container.resources),
    initContainers?.map((container) => [container.restartPolicy, container.resources]),
    resources,
    overhead,
    pending?.reason,
    ...(granted.length === 0
      ? []
      : [
          [...containers, ...(initContainers ?? [])].map(({ name }) => name),
          granted.map((one) => [one.name, one.allocatedResources, one.resources?.requests]),
        ]),
  ])
}

function grantsOrTells({ allocatedResources, resources }: ContainerStatus): boolean {
  return allocatedResources !== undefined || resources !== undefined
}
