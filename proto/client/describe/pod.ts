/** A pod: where it runs, its containers, and how long each step of its start took. */
import { parseTime } from '../../base/time.ts'
import type { Pod, PodInterface, TimelineStep } from '../../gen/types.ts'
import { podStatusSince } from '../../objects/columns/pod-status.ts'
import { findCondition } from '../../objects/conditions.ts'
import { conditionEntry, controllerEntries, deletionEntries, markEntries, nameEntries, tableEntry } from './metadata.ts'
import { entry, mapValue, optional, table, type Entry } from './page.ts'
import { containerEntries, tolerations, volumeEntry } from './template.ts'

export function podEntries(pod: Pod, now: number): Entry[] {
  const { spec, status } = pod
  const node =
    spec.nodeName === undefined || spec.nodeName === ''
      ? '<none>'
      : `${spec.nodeName}${status.hostIP === undefined ? '' : `/${status.hostIP}`}`
  return [
    ...nameEntries(pod),
    ...optional('Service Account', spec.serviceAccountName),
    entry('Node', node),
    ...optional('Start Time', status.startTime),
    ...markEntries(pod),
    entry('Status', podStatusSince(pod, now)),
    ...deletionEntries(pod),
    ...optional('Reason', status.reason),
    ...optional('Message', status.message),
    entry('IP', status.podIP ?? ''),
    ...interfaceEntries(status.interfaces ?? []),
    ...controllerEntries(pod),
    ...containerEntries(
      spec,
      status.initContainerStatuses ?? [],
      status.containerStatuses ?? [],
      status.ephemeralContainerStatuses ?? [],
    ),
    ...readinessGateEntries(pod),
    conditionEntry(status.conditions),
    volumeEntry(spec.volumes ?? []),
    ...optional('QoS Class', status.qosClass),
    entry('Node-Selectors', mapValue(spec.nodeSelector)),
    entry('Tolerations', tolerations(spec.tolerations)),
    ...timelineEntry(status.timeline ?? []),
  ]
}

/** Interfaces on Networks beside the cluster's own. */
function interfaceEntries(interfaces: readonly PodInterface[]): Entry[] {
  return interfaces.length === 0
    ? []
    : [
        tableEntry(
          'Interfaces',
          ['Name', 'Network', 'Addresses'],
          interfaces.map(({ name, network, addresses = [] }) => [name, network, addresses.join(', ')]),
        ),
      ]
}

/** Conditions that others write and that the pod's readiness waits for, as they are. */
function readinessGateEntries({ spec, status }: Pod): Entry[] {
  const gates = spec.readinessGates ?? []
  const state = (wanted: string): string => findCondition(status.conditions, wanted)?.status ?? '<none>'
  return gates.length === 0
    ? []
    : [
        entry(
          'Readiness Gates',
          gates.map(({ conditionType }) => entry(conditionType, state(conditionType))),
        ),
      ]
}

/** Each step with its time and the milliseconds since the one before; the total at the end. */
export function timelineEntry(steps: readonly TimelineStep[]): Entry[] {
  if (steps.length === 0) return []
  const times = steps.map(({ time }) => parseTime(time))
  const rows = steps.map(({ step, time }, index) => [
    step,
    time.slice(11, 23),
    index === 0 ? '' : `+${times[index]! - times[index - 1]!} ms`,
  ])
  const total = times.at(-1)! - times[0]!
  const below = steps.length < 2 ? [] : [`${steps[0]!.step} to ${steps.at(-1)!.step}: ${total} ms`]
  return [entry('Timeline', table(rows, below))]
}
