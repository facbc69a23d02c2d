/** Amounts of resources as numbers: cpu in thousandths, everything else in whole units (bytes, pieces). */
import { formatQuantity, quantityMillis, quantityValue } from '../../proto/api/quantity.ts'
import type { Container, Pod } from '../../proto/gen/types.ts'

/** By the resource's name; what is absent is 0. */
export type Amounts = ReadonlyMap<string, number>

type Quantities = Readonly<Record<string, string>>

export function amountsOf(quantities: Quantities | undefined): Map<string, number> {
  return new Map(Object.entries(quantities ?? {}).map(([name, text]) => [name, name === 'cpu' ? quantityMillis(text) : quantityValue(text)]))
}

/** For people: 400m of cpu, 512Mi of memory. */
export function formatAmount(name: string, amount: number): string {
  const nanos = BigInt(amount) * (name === 'cpu' ? 1_000_000n : 1_000_000_000n)
  return formatQuantity({ nanos, format: name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-') ? 'binary' : 'decimal' })
}

/** Adds to each amount; `sign` −1 takes away. What comes to 0 goes. */
export function addAmounts(to: Map<string, number>, amounts: Amounts, sign: 1 | -1 = 1): void {
  for (const [name, amount] of amounts) {
    const sum = (to.get(name) ?? 0) + sign * amount
    if (sum === 0) to.delete(name)
    else to.set(name, sum)
  }
}

const known = new WeakMap<Pod, Amounts>()

/**
 * What a pod takes of a node: its containers together, or what its init containers need at their most if that is more; and one of "pods".
 * Init containers that go on running (restartPolicy Always) count with those after them. A limit without a request is a request.
 * https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
 */
export function podRequests(pod: Pod): Amounts {
  let requests = known.get(pod)
  if (requests === undefined) known.set(pod, (requests = computeRequests(pod)))
  return requests
}

function computeRequests(pod: Pod): Amounts {
  const running = new Map<string, number>()
  const most = new Map<string, number>()
  for (const container of pod.spec.initContainers ?? []) {
    const own = containerRequests(container, pod)
    const during = new Map(running)
    addAmounts(during, own)
    for (const [name, amount] of during) most.set(name, Math.max(most.get(name) ?? 0, amount))
    if (container.restartPolicy === 'Always') addAmounts(running, own)
  }
  for (const container of pod.spec.containers) addAmounts(running, containerRequests(container, pod))
  for (const [name, amount] of most) running.set(name, Math.max(running.get(name) ?? 0, amount))
  running.set('pods', 1)
  return running
}

/** While a change waits or is carried out: the larger of what is asked for and of what the node has granted; what it can never grant does not count. */
function containerRequests({ name, resources }: Container, { status }: Pod): Amounts {
  const asked = amountsOf({ ...resources?.limits, ...resources?.requests })
  const granted = [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])].find((container) => container.name === name)?.allocatedResources
  if (granted === undefined) return asked
  const infeasible = status.conditions?.some(({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible') === true
  for (const [resource, amount] of amountsOf(granted)) asked.set(resource, infeasible ? amount : Math.max(asked.get(resource) ?? 0, amount))
  return asked
}
