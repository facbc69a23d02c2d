/** Amounts of resources as numbers: cpu in thousandths, everything else in whole units (bytes, pieces). */
import { formatQuantity, quantityMillis, quantityValue } from '../../proto/base/quantity.ts'
import type { Container, Pod } from '../../proto/gen/types.ts'

/** By the resource's name; what is absent is 0. */
export type ResourceAmounts = ReadonlyMap<string, number>

type Quantities = Readonly<Record<string, string>>

export function amountsOf(quantities: Quantities | undefined): Map<string, number> {
  return new Map(
    Object.entries(quantities ?? {}).map(([name, text]) => [
      name,
      name === 'cpu' ? quantityMillis(text) : quantityValue(text),
    ]),
  )
}

/** For people: 400m of cpu, 512Mi of memory. */
export function formatAmount(name: string, amount: number): string {
  const nanos = BigInt(amount) * (name === 'cpu' ? 1_000_000n : 1_000_000_000n)
  return formatQuantity({
    nanos,
    format: name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-') ? 'binary' : 'decimal',
  })
}

/** Adds to each amount; `sign` −1 takes away. What comes to 0 goes. */
export function addAmounts(to: Map<string, number>, amounts: ResourceAmounts, sign: 1 | -1 = 1): void {
  for (const [name, amount] of amounts) {
    const sum = (to.get(name) ?? 0) + sign * amount
    if (sum === 0) to.delete(name)
    else to.set(name, sum)
  }
}

const known = new WeakMap<Pod, ResourceAmounts>()
const knownUnstated = new WeakMap<Pod, ResourceAmounts>()
const NOTHING: ResourceAmounts = new Map()

/**
 * What a container that states no request counts as where nodes are compared (and nowhere else), so that pods without
 * requests do not all go to one node. The figures are those of Kubernetes' scheduler: 100m of cpu, 200Mi of memory.
 */
const DEFAULT_REQUESTS: ResourceAmounts = new Map([
  ['cpu', 100],
  ['memory', 200 * 1024 ** 2],
])

/**
 * What a pod takes of a node: its containers together, or what its init containers need at their most if that is more;
 * and one of "pods". Init containers that go on running (restartPolicy Always) count with those after them. A limit
 * without a request is a request.
 * https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
 */
export function podRequests(pod: Pod): ResourceAmounts {
  let requests = known.get(pod)
  if (requests === undefined) known.set(pod, (requests = computeRequests(pod, NOTHING)))
  return requests
}

/**
 * By how much a pod counts as more than it requests where nodes are compared. Empty if each container requests cpu and
 * memory.
 */
export function defaultedRequests(pod: Pod): ResourceAmounts {
  let unstated = knownUnstated.get(pod)
  if (unstated === undefined) knownUnstated.set(pod, (unstated = computeUnstated(pod)))
  return unstated
}

function computeUnstated(pod: Pod): ResourceAmounts {
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  const states = ({ resources }: Container, name: string): boolean =>
    resources?.requests?.[name] !== undefined || resources?.limits?.[name] !== undefined
  if (containers.every((container) => states(container, 'cpu') && states(container, 'memory'))) return NOTHING
  const difference = computeRequests(pod, DEFAULT_REQUESTS)
  addAmounts(difference, podRequests(pod), -1)
  return difference
}

/** `least` is what counts for a container that states nothing about a resource. */
function computeRequests(pod: Pod, least: ResourceAmounts): Map<string, number> {
  const running = new Map<string, number>()
  const most = new Map<string, number>()
  const requestsOf = (container: Container): Map<string, number> => {
    const requests = containerRequests(container, pod)
    for (const [name, amount] of least) if (!requests.has(name)) requests.set(name, amount)
    return requests
  }
  for (const container of pod.spec.initContainers ?? []) {
    const own = requestsOf(container)
    const during = new Map(running)
    addAmounts(during, own)
    for (const [name, amount] of during) most.set(name, Math.max(most.get(name) ?? 0, amount))
    if (container.restartPolicy === 'Always') addAmounts(running, own)
  }
  for (const container of pod.spec.containers) addAmounts(running, requestsOf(container))
  for (const [name, amount] of most) running.set(name, Math.max(running.get(name) ?? 0, amount))
  running.set('pods', 1)
  return running
}

/**
 * While a change waits or is carried out: the larger of what is asked for and of what the node has granted; what it can
 * never grant does not count.
 */
function containerRequests({ name, resources }: Container, { status }: Pod): Map<string, number> {
  const asked = amountsOf({ ...resources?.limits, ...resources?.requests })
  const granted = [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])].find(
    (container) => container.name === name,
  )?.allocatedResources
  if (granted === undefined) return asked
  const infeasible =
    status.conditions?.some(({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible') === true
  for (const [resource, amount] of amountsOf(granted))
    asked.set(resource, infeasible ? amount : Math.max(asked.get(resource) ?? 0, amount))
  return asked
}
