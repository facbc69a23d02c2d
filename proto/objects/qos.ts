/** A pod's quality of service class. https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ */
import { compareQuantity } from '../base/quantity.ts'
import type { PodSpec, PodStatus } from '../gen/types.ts'

const COUNTED = ['cpu', 'memory']

/**
 * Guaranteed: every container's cpu and memory are limited and requested in full; BestEffort: none says anything;
 * Burstable: the rest.
 */
export function qosClassOf(spec: PodSpec): NonNullable<PodStatus['qosClass']> {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])]
  const said = containers.some(({ resources: { requests, limits } }) =>
    COUNTED.some((name) => [requests?.[name], limits?.[name]].some(isAmount)),
  )
  if (!said) return 'BestEffort'
  const full = containers.every(({ resources }) =>
    COUNTED.every((name) => {
      const limit = resources.limits?.[name]
      const request = resources.requests?.[name] ?? limit
      return isAmount(limit) && compareQuantity(request!, limit) === 0
    }),
  )
  return full ? 'Guaranteed' : 'Burstable'
}

/** 0 is as good as nothing. */
function isAmount(quantity: string | undefined): quantity is string {
  return quantity !== undefined && compareQuantity(quantity, '0') > 0
}
