/** What a pod's requests and limits are to the kernel: weights, quotas, and who goes first when memory runs out. */
import { containerAmount, enforceableLimits, podRequestAmounts } from '../../../proto/objects/pod-resources.ts'
import { qosClassOf } from '../../../proto/objects/qos.ts'
import { amountsOf } from '../../../proto/objects/resource-amounts.ts'
import type { Container, Pod } from '../../../proto/gen/types.ts'
import type { Resources } from '../../runtime/contract.ts'

const QUOTA_PERIOD_MICROS = 100_000
const LEAST_SHARES = 2
const MOST_SHARES = 262_144

/** https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior */
export function oomScoreAdj(pod: Pod, container: Container, memoryCapacity: number): number {
  switch (qosClassOf(pod.spec)) {
    case 'Guaranteed':
      return -997
    case 'BestEffort':
      return 1000
    case 'Burstable':
      return Math.min(
        999,
        Math.max(3, 1000 - Math.floor((1000 * containerAmount(container, 'requests', 'memory')) / memoryCapacity)),
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
    cpuShares: milliCpuToShares(containerAmount(container, 'requests', 'cpu')),
    cpuQuotaMicros: milliCpuToQuota(containerAmount(container, 'limits', 'cpu')),
    memoryLimit: containerAmount(container, 'limits', 'memory'),
    pidsLimit,
  }
}

/** Of the pod's own cgroup. */
export function podResources(pod: Pod, pidsLimit: number): Resources {
  const requests = podRequestAmounts(pod)
  const limits = amountsOf(enforceableLimits(pod))
  return {
    cpuShares: milliCpuToShares(requests.get('cpu') ?? 0),
    cpuQuotaMicros: milliCpuToQuota(limits.get('cpu') ?? 0),
    memoryLimit: limits.get('memory') ?? 0,
    pidsLimit,
  }
}
