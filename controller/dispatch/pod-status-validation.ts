/**
 * What a node may say of a pod of its own: containers that the pod has, addresses that the control plane gave the node
 * to give away, conditions that are the node's to judge. Pure.
 */
import { readAddress, readCidr } from '../../proto/base/cidr.ts'
import { podNetworks } from '../../proto/objects/pod-networks.ts'
import { fieldsOfWriter } from '../../proto/schema/status-writers.ts'
import type {
  ContainerStatus,
  Network,
  Node,
  Pod,
  PodCondition,
  PodStatus,
  TimelineStep,
} from '../../proto/gen/types.ts'
import { podCidrsOf } from './node-range-allocator.ts'

/** https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions */
const NODES_CONDITIONS: ReadonlySet<string> = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'ContainersReady',
  'Ready',
  'PodResizePending',
  'PodResizeInProgress',
])
/** Agents send it back as the control plane wrote it. */
const ECHOED_CONDITION = 'PodScheduled'
/** Steps that the control plane takes itself. */
const CONTROL_PLANES_STEPS: ReadonlySet<TimelineStep['step']> = new Set<TimelineStep['step']>([
  'accepted',
  'scheduled',
  'assigned',
])

/** What the control plane knows of the node and gave it. */
export interface NodeAllocations {
  readonly node: Node
  /** A Network of the pod's namespace. */
  readonly network: (name: string) => Network | undefined
}

/** What of a status is a node's to say as a whole. */
const NODES_FIELDS = fieldsOfWriter('PodStatus', 'node')

/** The part of what a node observed that is its to say. */
export function nodeOwnedStatus(observed: PodStatus): PodStatus {
  const { conditions, timeline } = observed
  return {
    ...(Object.fromEntries(
      NODES_FIELDS.flatMap((name) => (observed[name] === undefined ? [] : [[name, observed[name]]])),
    ) as Partial<PodStatus>),
    ...(conditions !== undefined && { conditions: conditions.filter(isNodes) }),
    ...(timeline !== undefined && { timeline: timeline.filter(({ step }) => !CONTROL_PLANES_STEPS.has(step)) }),
  }
}

/** Types of the conditions in what a node observed that are not its to judge. */
export function foreignConditions({ conditions = [] }: PodStatus): string[] {
  return conditions
    .filter((condition) => !isNodes(condition) && condition.type !== ECHOED_CONDITION)
    .map(({ type }) => type)
}

function isNodes({ type }: PodCondition): boolean {
  return NODES_CONDITIONS.has(type)
}

/**
 * What of an observed status is not as it can be on this node: a sentence without its end, undefined if nothing is.
 * What is stored already was judged before.
 */
export function validatePodStatus(pod: Pod, observed: PodStatus, grants: NodeAllocations): string | undefined {
  return (
    containersFlaw(pod, observed) ??
    hostFlaw(pod, observed, grants) ??
    addressesFlaw(pod, observed, grants) ??
    interfacesFlaw(pod, observed, grants)
  )
}

/** Addresses of a node by which others reach it. */
function internalAddresses({ status: { addresses = [] } }: Pick<Node, 'status'>): string[] {
  return addresses.flatMap(({ type, address = '' }) => (type === 'InternalIP' && address !== '' ? address : []))
}

function containersFlaw(
  { spec }: Pod,
  { initContainerStatuses, containerStatuses, ephemeralContainerStatuses }: PodStatus,
): string | undefined {
  return (
    findUnknownContainer(containerStatuses, spec.containers) ??
    findUnknownContainer(initContainerStatuses, spec.initContainers) ??
    findUnknownContainer(ephemeralContainerStatuses, spec.ephemeralContainers)
  )
}

function findUnknownContainer(
  told: readonly ContainerStatus[] | undefined,
  containers: readonly { readonly name: string }[] | undefined,
): string | undefined {
  const left = new Set(containers?.map(({ name }) => name))
  const stranger = told?.find(({ name }) => !left.delete(name))
  return stranger === undefined
    ? undefined
    : `container ${JSON.stringify(stranger.name)} is not in the pod's spec, or is told of twice`
}

function hostFlaw({ status }: Pod, { hostIP, hostIPs = [] }: PodStatus, { node }: NodeAllocations): string | undefined {
  const known = new Set([...internalAddresses(node), status.hostIP, ...(status.hostIPs ?? []).map(({ ip }) => ip)])
  const wrong = [hostIP, ...hostIPs.map(({ ip }) => ip)].find((address) => address !== undefined && !known.has(address))
  return wrong === undefined ? undefined : `hostIP ${JSON.stringify(wrong)} is no address of the node`
}

function addressesFlaw(
  { spec, status }: Pod,
  { podIP, podIPs = [] }: PodStatus,
  { node }: NodeAllocations,
): string | undefined {
  const known = new Set([status.podIP, ...(status.podIPs ?? []).map(({ ip }) => ip)])
  const told = [podIP, ...podIPs.map(({ ip }) => ip)].filter(
    (address) => address !== undefined && !known.has(address),
  ) as string[]
  if (spec.hostNetwork === true) {
    const wrong = told.find((address) => !internalAddresses(node).includes(address))
    return wrong === undefined
      ? undefined
      : `the pod is in the node's network, and ${JSON.stringify(wrong)} is no address of the node`
  }
  const ranges = podCidrsOf(node)
  const wrong = told.find((address) => !isWithin(address, ranges))
  return wrong === undefined
    ? undefined
    : `podIP ${JSON.stringify(wrong)} is outside of the node's ranges for pods, ${ranges.join(' and ') || 'of which it has none'}`
}

function interfacesFlaw(
  { metadata, spec, status }: Pod,
  { interfaces = [] }: PodStatus,
  { node, network }: NodeAllocations,
): string | undefined {
  const asked = spec.hostNetwork === true ? [] : podNetworks(metadata).further
  for (const { network: name, name: device, addresses = [] } of interfaces) {
    const known = status.interfaces?.find((before) => before.network === name && before.name === device)
    if (known === undefined && !asked.some((request) => request.network === name && request.interface === device))
      return `the pod asks for no interface ${JSON.stringify(device)} on network ${JSON.stringify(name)}`
    const blocks = (network(name)?.status.blocks ?? [])
      .filter((block) => block.node === node.metadata.name)
      .map(({ cidr }) => cidr)
    const wrong = addresses.find(
      (address) => known?.addresses?.includes(address) !== true && !isWithin(address, blocks),
    )
    if (wrong !== undefined)
      return `${JSON.stringify(wrong)} is outside of the parts of network ${name} that the node has, ${blocks.join(' and ') || 'of which it has none'}`
  }
  return undefined
}

function isWithin(text: string, cidrs: readonly string[]): boolean {
  const address = readAddress(text)
  return (
    address !== undefined &&
    cidrs.some((cidr) => {
      const range = readCidr(cidr)
      return range?.family === address.family && range.first <= address.value && address.value <= range.last
    })
  )
}
