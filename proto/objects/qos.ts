/** A pod's quality of service class. https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ */
import { quantityMillis } from '../base/quantity.ts'
import type { PodSpec, PodStatus } from '../gen/types.ts'
import { containerRequests, isPodLevelResource } from './pod-resources.ts'

export type QosClass = NonNullable<PodStatus['qosClass']>

const QOS_RESOURCES = ['cpu', 'memory']

/**
 * Guaranteed: all cpu and memory are limited and requested in full, of every container, or of the pod as a whole if it
 * states them; BestEffort: nothing is said of them; Burstable: the rest. An amount of 0 says nothing, and amounts are
 * compared in thousandths, rounded up, as Kubernetes stores them.
 */
export function qosClassOf({ initContainers = [], containers, resources }: PodSpec): QosClass {
  const stated = [...Object.keys(resources?.requests ?? {}), ...Object.keys(resources?.limits ?? {})]
  const bearers = stated.some(isPodLevelResource) ? [{ resources: resources! }] : [...initContainers, ...containers]
  const amounts = bearers.flatMap((bearer) =>
    QOS_RESOURCES.map((name) => ({
      request: quantityMillis(containerRequests(bearer)[name] ?? '0'),
      limit: quantityMillis(bearer.resources.limits?.[name] ?? '0'),
    })),
  )
  if (amounts.every(({ request, limit }) => request <= 0 && limit <= 0)) return 'BestEffort'
  return amounts.every(({ request, limit }) => limit > 0 && request === limit) ? 'Guaranteed' : 'Burstable'
}
