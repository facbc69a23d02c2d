/** Nodes must have what a pod requests; those with more left, and left in proportion, are preferred. */
import { formatAmount } from '../../../proto/objects/resource-amounts.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import { defaultedRequests, podAmounts, requestedAmounts } from '../pod-requests.ts'
import type { FilterPlugin, NodeInfo, ScorePlugin } from '../framework.ts'

/** cpu, memory, pods, ephemeral-storage and whatever else nodes offer ("example.com/gpu"). */
export const resources: FilterPlugin = {
  name: 'Resources',
  eventsToRegister: ['node-added', 'node-changed', 'pod-removed'],
  sign: signAmounts,
  prepareFits: prepareRoom,
  prepareFilter(pod) {
    const requests = [...requestedAmounts(pod)]
    const fits = prepareRoom(pod)
    return (node) => {
      if (fits(node)) return undefined
      const { allocatable, requested } = node
      const short = requests.flatMap(([name, amount]) => {
        const free = Math.max(0, (allocatable.get(name) ?? 0) - (requested.get(name) ?? 0))
        return amount > free ? [{ name, amount, free, missing: amount - free }] : []
      })
      const [first] = short
      const { name, missing } = first!
      return {
        reason: name === 'pods' ? 'full of pods' : `${name} short`,
        detail: short
          .map(
            (one) =>
              `${one.name} ${formatAmount(one.name, one.missing)} short (requested ${formatAmount(one.name, one.amount)}, free ${formatAmount(one.name, one.free)})`,
          )
          .join(', '),
        ...(name === 'pods' ? {} : { shortage: { amount: missing, text: formatAmount(name, missing) } }),
      }
    }
  },
}

function prepareRoom(pod: Pod): (node: NodeInfo) => boolean {
  const requests = [...requestedAmounts(pod)].filter(([, amount]) => amount > 0)
  return ({ allocatable, requested }) => {
    for (const [name, amount] of requests)
      if (amount > (allocatable.get(name) ?? 0) - (requested.get(name) ?? 0)) return false
    return true
  }
}

function signAmounts(pod: Pod): string {
  return podAmounts(pod).signature
}

const SCORED = ['cpu', 'memory', 'pods']

/**
 * The larger the shares of cpu, memory and pods still free after the pod, the better. Containers that request nothing
 * count as `defaultedRequests` says.
 */
export const leastAllocated: ScorePlugin = {
  name: 'LeastAllocated',
  weight: 1,
  sign: signAmounts,
  prepareScore(pod) {
    const requests = requestedAmounts(pod)
    const unstated = defaultedRequests(pod)
    const asked = SCORED.map((name) => ({ name, amount: (requests.get(name) ?? 0) + (unstated.get(name) ?? 0) }))
    return (node) => {
      let free = 0
      for (const { name, amount } of asked) free += 1 - usedShare(node, name, amount + (node.defaulted.get(name) ?? 0))
      return (100 * free) / SCORED.length
    }
  },
}

/** The closer the shares of cpu and memory in use after the pod, the better: neither is left over without the other. */
export const balanced: ScorePlugin = {
  name: 'Balanced',
  weight: 1,
  sign: signAmounts,
  prepareScore(pod) {
    const requests = requestedAmounts(pod)
    const cpu = requests.get('cpu') ?? 0
    const memory = requests.get('memory') ?? 0
    if (cpu === 0 && memory === 0) return undefined
    return (node) => 100 * (1 - Math.abs(usedShare(node, 'cpu', cpu) - usedShare(node, 'memory', memory)))
  },
}

/** 0 to 1; a node that offers none of a resource counts as full. */
function usedShare({ allocatable, requested }: NodeInfo, name: string, more: number): number {
  const offered = allocatable.get(name) ?? 0
  return offered <= 0 ? 1 : Math.min(1, ((requested.get(name) ?? 0) + more) / offered)
}
