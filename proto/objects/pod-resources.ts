/**
 * What a pod requests of a node and what it may use at most. The scheduler, the agent and `describe` ask here, so that
 * a pod that was given a node is not refused by it for another sum.
 *
 *          init containers in turn, each beside the sidecars before it ─┐
 * max of {                                                             } ─▶ pod level, if it is set ─▶ + overhead
 *          sidecars and containers together ────────────────────────────┘
 *
 * https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
 * https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
 */
import { formatQuantity, parseQuantity, roundUpToMillis, type ParsedQuantity } from '../base/quantity.ts'
import type { Container, ContainerStatus, Pod, PodSpec } from '../gen/types.ts'
import { findCondition } from './conditions.ts'
import { isRestartableInitContainer } from './containers.ts'
import { resourceAmount, roundAmount, type ResourceList } from './resource-amounts.ts'

/** Which of what a container says. */
export type ResourceSide = 'requests' | 'limits'

export interface PodResourceOptions {
  /**
   * Whether what the node has granted, and what is in force, counts where it is more than what the spec asks for: while
   * a resize waits or is carried out. What a node can never grant does not count then.
   */
  readonly withStatus?: boolean
  /** Requests of a container that states none of a resource. */
  readonly defaults?: ResourceList
}

type PodSums = Pick<Pod, 'spec'> & Partial<Pick<Pod, 'status'>>
type Sums = Map<string, ParsedQuantity>

/** What a container requests. A limit without a request is a request. */
export function containerRequests({ resources }: Pick<Container, 'resources'>): ResourceList {
  return { ...resources?.limits, ...resources?.requests }
}

/** cpu in thousandths, anything else in whole units; 0 if the container says none. */
export function containerAmount(container: Pick<Container, 'resources'>, side: ResourceSide, name: string): number {
  const quantity = side === 'requests' ? containerRequests(container)[name] : container.resources?.limits?.[name]
  return quantity === undefined ? 0 : resourceAmount(name, quantity)
}

/** Canonical quantities by the resource's name. */
export function podRequests(pod: PodSums, options: PodResourceOptions = {}): Record<string, string> {
  return formatList(requestSums(pod, options))
}

/** The requests as numbers: cpu in thousandths, everything else in whole units. */
export function podRequestAmounts(pod: PodSums, options: PodResourceOptions = {}): Map<string, number> {
  return new Map([...requestSums(pod, options)].map(([name, { nanos }]) => [name, roundAmount(name, nanos)]))
}

function requestSums(pod: PodSums, { withStatus = false, defaults }: PodResourceOptions): Sums {
  const stated = (list: ResourceList | undefined): ResourceList => ({ ...defaults, ...list })
  let sums = podSums(pod.spec, (container) => stated(containerRequests(container)))
  if (withStatus && hasOtherRequests(pod)) {
    const infeasible = isResizeInfeasible(pod)
    const granted: ListOf = (container) =>
      stated(statusOf(pod, container)?.allocatedResources ?? (infeasible ? undefined : containerRequests(container)))
    const inForce: ListOf = (container) => {
      const requests = statusOf(pod, container)?.resources?.requests
      return requests === undefined ? granted(container) : stated(requests)
    }
    const actual = largest(podSums(pod.spec, granted), podSums(pod.spec, inForce))
    sums = infeasible ? actual : largest(sums, actual)
  }
  const { resources, overhead } = pod.spec
  for (const [name, quantity] of podLevel(resources?.limits)) if (!sums.has(name)) sums.set(name, quantity)
  for (const [name, quantity] of podLevel(resources?.requests)) sums.set(name, quantity)
  addTo(sums, parseList(overhead))
  return sums
}

/** Most pods are as their specs say: what their statuses repeat is not summed up. */
function hasOtherRequests(pod: PodSums): boolean {
  const { initContainers = [], containers } = pod.spec
  if (isResizeInfeasible(pod)) return true
  return [...initContainers, ...containers].some((container) => {
    const { allocatedResources, resources } = statusOf(pod, container) ?? {}
    const asked = containerRequests(container)
    return [allocatedResources, resources?.requests].some((list) => list !== undefined && !sameList(list, asked))
  })
}

function sameList(a: ResourceList, b: ResourceList): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}

/**
 * The limits of all containers together; one that has none adds nothing. Whether the sum can be enforced is another
 * question: `enforceableLimits`.
 */
export function podLimits(pod: PodSums, { withStatus = false }: PodResourceOptions = {}): Record<string, string> {
  const asked: ListOf = ({ resources }) => resources?.limits
  let sums = podSums(pod.spec, asked)
  if (withStatus) {
    const actual = podSums(
      pod.spec,
      (container) =>
        statusOf(pod, container)?.resources?.limits ?? (isResizeInfeasible(pod) ? undefined : asked(container)),
    )
    sums = isResizeInfeasible(pod) ? actual : largest(sums, actual)
  }
  for (const [name, quantity] of podLevel(pod.spec.resources?.limits)) sums.set(name, quantity)
  for (const [name, quantity] of parseList(pod.spec.overhead)) if (sums.has(name)) addTo(sums, [[name, quantity]])
  return formatList(sums)
}

/** The limits that hold for the pod as a whole: those that every container has, or the pod itself. */
export function enforceableLimits(pod: PodSums): Record<string, string> {
  const { initContainers = [], containers, resources } = pod.spec
  const ofPod = new Set(podLevel(resources?.limits).map(([name]) => name))
  const all = [...initContainers, ...containers]
  const limited = (name: string): boolean =>
    ofPod.has(name) || all.every((container) => containerAmount(container, 'limits', name) > 0)
  return Object.fromEntries(Object.entries(podLimits(pod)).filter(([name]) => limited(name)))
}

/** The node has said that it can never give the pod what its spec asks for now. */
function isResizeInfeasible({ status }: PodSums): boolean {
  return findCondition(status?.conditions, 'PodResizePending')?.reason === 'Infeasible'
}

/** Resources that may be stated for the pod as a whole; others of its own say nothing. */
export function isPodLevelResource(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name.startsWith('hugepages-')
}

type ListOf = (container: Container) => ResourceList | undefined

/**
 * What lasts only grows: while an init container runs, more than in the end can be needed of what it asks for itself
 * alone. So the time taken does not grow with containers times resources.
 */
function podSums({ initContainers = [], containers }: PodSpec, listOf: ListOf): Sums {
  const lasting: Sums = new Map()
  const most: Sums = new Map()
  for (const container of initContainers) {
    const own = parseList(listOf(container))
    const during: Sums = new Map()
    for (const [name] of own) if (lasting.has(name)) during.set(name, lasting.get(name)!)
    addTo(during, own)
    raise(most, during)
    if (isRestartableInitContainer(container)) addTo(lasting, own)
  }
  for (const container of containers) addTo(lasting, parseList(listOf(container)))
  return largest(lasting, most)
}

function statusOf({ status }: PodSums, { name }: Container): ContainerStatus | undefined {
  const isOf = (known: ContainerStatus): boolean => known.name === name
  return status?.containerStatuses?.find(isOf) ?? status?.initContainerStatuses?.find(isOf)
}

function podLevel(list: ResourceList | undefined): [string, ParsedQuantity][] {
  return parseList(list).filter(([name]) => isPodLevelResource(name))
}

/** Amounts finer than thousandths count as the next thousandth, as where Kubernetes stores them. */
function parseList(list: ResourceList | undefined): [string, ParsedQuantity][] {
  return Object.entries(list ?? {}).map(([name, text]) => [name, roundUpToMillis(parseQuantity(text))])
}

/** The suffix of the first amount that is not zero stays. */
function addTo(sums: Sums, list: Iterable<readonly [string, ParsedQuantity]>): void {
  for (const [name, { nanos, format }] of list) {
    const before = sums.get(name)
    sums.set(name, {
      nanos: (before?.nanos ?? 0n) + nanos,
      format: before === undefined || before.nanos === 0n ? format : before.format,
    })
  }
}

function largest(a: Sums, b: Sums): Sums {
  const result = new Map(a)
  raise(result, b)
  return result
}

/** To what is more of the others. */
function raise(sums: Sums, others: Sums): void {
  for (const [name, quantity] of others) {
    const before = sums.get(name)
    if (before === undefined || before.nanos < quantity.nanos) sums.set(name, quantity)
  }
}

function formatList(sums: Sums): Record<string, string> {
  return Object.fromEntries([...sums].map(([name, quantity]) => [name, formatQuantity(quantity)]))
}
