/**
 * What a pod's resource requests and limits mean on a node. https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
 */
import { quantityMillis, quantityValue } from '../../../proto/base/quantity.ts'
import type { Container, Pod, PodStatus } from '../../../proto/gen/types.ts'
import type { Resources } from '../../runtime/contract.ts'

export type QosClass = NonNullable<PodStatus['qosClass']>

const QUOTA_PERIOD_MICROS = 100_000
const LEAST_SHARES = 2
const MOST_SHARES = 262_144

/** cpu in thousandths, anything else in whole units; 0 if it says none. A request that is not given is its limit. */
function amount(container: Container, which: 'limits' | 'requests', resource: string): number {
  const { limits, requests } = container.resources
  const text = which === 'limits' ? limits?.[resource] : (requests?.[resource] ?? limits?.[resource])
  if (text === undefined) return 0
  return resource === 'cpu' ? quantityMillis(text) : quantityValue(text)
}

/** Guaranteed: every container has equal requests and limits of cpu and memory. BestEffort: none has any. */
export function qosClassOf(pod: Pod): QosClass {
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  const asked = (container: Container): number =>
    ['cpu', 'memory'].reduce(
      (sum, resource) => sum + amount(container, 'limits', resource) + amount(container, 'requests', resource),
      0,
    )
  if (containers.every((container) => asked(container) === 0)) return 'BestEffort'
  const equal = (container: Container, resource: string): boolean =>
    amount(container, 'limits', resource) > 0 &&
    amount(container, 'limits', resource) === amount(container, 'requests', resource)
  return containers.every((container) => equal(container, 'cpu') && equal(container, 'memory'))
    ? 'Guaranteed'
    : 'Burstable'
}

/** https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior */
export function oomScoreAdj(pod: Pod, container: Container, memoryCapacity: number): number {
  switch (qosClassOf(pod)) {
    case 'Guaranteed':
      return -997
    case 'BestEffort':
      return 1000
    case 'Burstable':
      return Math.min(
        999,
        Math.max(3, 1000 - Math.floor((1000 * amount(container, 'requests', 'memory')) / memoryCapacity)),
      )
  }
}

function milliCpuToShares(cpuMillis: number): number {
  return Math.min(MOST_SHARES, Math.max(LEAST_SHARES, Math.floor((cpuMillis * 1024) / 1000)))
}

function milliCpuToQuota(cpuMillis: number): number {
  return cpuMillis === 0 ? 0 : Math.max(1000, (cpuMillis * QUOTA_PERIOD_MICROS) / 1000)
}

export function containerResources(container: Container, pidsLimit: number): Resources {
  return {
    cpuShares: milliCpuToShares(amount(container, 'requests', 'cpu')),
    cpuQuotaMicros: milliCpuToQuota(amount(container, 'limits', 'cpu')),
    memoryLimit: amount(container, 'limits', 'memory'),
    pidsLimit,
  }
}

/**
 * The larger of all containers together and of each init container, which run one at a time before them; sidecars count
 * with all that comes after.
 * https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
 */
function podResourceAmount(pod: Pod, which: 'limits' | 'requests', resource: string): number {
  let most = 0
  let running = 0
  for (const container of pod.spec.initContainers ?? []) {
    const own = amount(container, which, resource)
    most = Math.max(most, running + own)
    if (container.restartPolicy === 'Always') running += own
  }
  return Math.max(
    most,
    pod.spec.containers.reduce((sum, container) => sum + amount(container, which, resource), running),
  )
}

/** Of the pod's own cgroup: a limit stands only where every container has one. */
export function podResources(pod: Pod, pidsLimit: number): Resources {
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  const limit = (resource: string): number =>
    containers.every((container) => amount(container, 'limits', resource) > 0)
      ? podResourceAmount(pod, 'limits', resource)
      : 0
  return {
    cpuShares: milliCpuToShares(podResourceAmount(pod, 'requests', 'cpu')),
    cpuQuotaMicros: milliCpuToQuota(limit('cpu')),
    memoryLimit: limit('memory'),
    pidsLimit,
  }
}

/** Every resource the pod asks for, with its amount: cpu in thousandths. */
export function podRequests(pod: Pod): Map<string, number> {
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  const names = new Set(
    containers.flatMap(({ resources }) => [
      ...Object.keys(resources.requests ?? {}),
      ...Object.keys(resources.limits ?? {}),
    ]),
  )
  return new Map([...names].map((name) => [name, podResourceAmount(pod, 'requests', name)]))
}
