/** A node: what it has, what its pods ask of it, and which they are. */
import { addQuantities, quantityMillis } from '../../base/quantity.ts'
import { podLimits, podRequests, type ResourceSide } from '../../objects/pod-resources.ts'
import type { Node, Pod } from '../../gen/types.ts'
import { ageSince } from '../../objects/columns/age.ts'
import { nodeRoles } from '../../objects/columns/columns.ts'
import { summarizePod } from '../../objects/columns/pod-status.ts'
import { isTerminal } from '../../objects/pod.ts'
import { formatTaint } from '../../objects/taints.ts'
import { conditionEntry, deletionEntries, markEntries, nameEntries, tableEntry } from './metadata.ts'
import { entry, optional, type Entry } from './page.ts'

export function nodeEntries(node: Node, pods: readonly Pod[], now: number): Entry[] {
  const { metadata, spec, status } = node
  const info = status.nodeInfo ?? {}
  const live = pods.filter((pod) => !isTerminal(pod))
  const taints = (spec.taints ?? []).map(formatTaint)
  return [
    ...nameEntries(node),
    entry('Roles', nodeRoles(node)),
    ...markEntries(node),
    entry('CreationTimestamp', metadata.creationTimestamp ?? ''),
    ...deletionEntries(node),
    entry('Taints', taints.length === 0 ? '<none>' : taints),
    entry('Unschedulable', String(spec.unschedulable ?? false)),
    conditionEntry(status.conditions),
    tableEntry(
      'Addresses',
      ['Type', 'Address'],
      (status.addresses ?? []).map(({ type = '', address = '' }) => [type, address]),
    ),
    entry('Capacity', quantityEntries(status.capacity)),
    entry('Allocatable', quantityEntries(status.allocatable)),
    entry('System', [
      ...optional('Kernel Version', info.kernelVersion),
      ...optional('OS Image', info.osImage),
      ...optional('Operating System', info.operatingSystem),
      ...optional('Architecture', info.architecture),
      ...optional('Container Runtime', info.containerRuntimeVersion),
      entry('Agent Version', info.kubeletVersion ?? '<unknown>'),
    ]),
    ...optional('PodCIDR', spec.podCIDR),
    tableEntry(
      `Pods (${live.length} that run or will)`,
      ['Namespace', 'Name', 'Status', 'CPU Requests', 'CPU Limits', 'Memory Requests', 'Memory Limits', 'Age'],
      live.map((pod) => [
        pod.metadata.namespace,
        pod.metadata.name,
        summarizePod(pod).status,
        podSum(pod, 'requests', 'cpu'),
        podSum(pod, 'limits', 'cpu'),
        podSum(pod, 'requests', 'memory'),
        podSum(pod, 'limits', 'memory'),
        ageSince(pod.metadata.creationTimestamp, now),
      ]),
    ),
    tableEntry(
      'Allocated',
      ['Resource', 'Requests', 'Limits'],
      ['cpu', 'memory'].map((resource) => [
        resource,
        ...(['requests', 'limits'] as const).map((side) =>
          share(sum(live.map((pod) => podSum(pod, side, resource))), status.allocatable?.[resource]),
        ),
      ]),
    ),
  ]
}

function quantityEntries(list: Readonly<Record<string, string>> | undefined): readonly Entry[] | string {
  const entries = Object.entries(list ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, quantity]) => entry(name, quantity))
  return entries.length === 0 ? '<unknown>' : entries
}

function sum(quantities: readonly string[]): string {
  return quantities.length === 0 ? '0' : addQuantities(...quantities)
}

/** As the scheduler counts it: with init containers, sidecars and what is in force while the pod is resized. */
function podSum(pod: Pod, side: ResourceSide, resource: string): string {
  const sums = side === 'requests' ? podRequests(pod, { withStatus: true }) : podLimits(pod, { withStatus: true })
  return sums[resource] ?? '0'
}

function share(quantity: string, of: string | undefined): string {
  const whole = of === undefined ? 0 : quantityMillis(of)
  return whole === 0 ? quantity : `${quantity} (${Math.round((quantityMillis(quantity) / whole) * 100)}%)`
}
