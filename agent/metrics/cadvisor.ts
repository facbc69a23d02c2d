/**
 * What containers use, under the names and labels of cAdvisor, for which dashboards and rules are written.
 * https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md
 */
import type { ContainerCounters } from '../runtime/contract.ts'
import type { Family, Labels, Sample } from './exposition.ts'
import type { InterfaceCounters, NodeSnapshot, PodSnapshot } from './snapshot.ts'

const NANOS = 1e9

interface Metric {
  readonly name: string
  readonly help: string
  readonly type: Family['type']
  readonly value: (counters: ContainerCounters) => number
  /** More samples than one, told apart by a label. */
  readonly each?: readonly (readonly [labels: Labels, value: (counters: ContainerCounters) => number])[]
}

const METRICS: readonly Metric[] = [
  {
    name: 'container_cpu_usage_seconds_total',
    help: 'Processor time used, in seconds.',
    type: 'counter',
    value: ({ cpuNanos }) => cpuNanos / NANOS,
  },
  {
    name: 'container_cpu_user_seconds_total',
    help: 'Processor time used by programs, in seconds.',
    type: 'counter',
    value: ({ cpuUserNanos }) => cpuUserNanos / NANOS,
  },
  {
    name: 'container_cpu_system_seconds_total',
    help: 'Processor time used by the kernel for it, in seconds.',
    type: 'counter',
    value: ({ cpuSystemNanos }) => cpuSystemNanos / NANOS,
  },
  {
    name: 'container_cpu_cfs_periods_total',
    help: 'Periods in which a limit of processor time held.',
    type: 'counter',
    value: ({ cpuPeriods }) => cpuPeriods,
  },
  {
    name: 'container_cpu_cfs_throttled_periods_total',
    help: 'Periods in which the limit was reached.',
    type: 'counter',
    value: ({ cpuThrottledPeriods }) => cpuThrottledPeriods,
  },
  {
    name: 'container_cpu_cfs_throttled_seconds_total',
    help: 'For how long it was held back, in seconds.',
    type: 'counter',
    value: ({ cpuThrottledNanos }) => cpuThrottledNanos / NANOS,
  },
  {
    name: 'container_memory_usage_bytes',
    help: 'Memory in use, caches included.',
    type: 'gauge',
    value: ({ memoryUsage }) => memoryUsage,
  },
  {
    name: 'container_memory_max_usage_bytes',
    help: 'Most memory that was in use.',
    type: 'gauge',
    value: ({ memoryPeak }) => memoryPeak,
  },
  {
    name: 'container_memory_working_set_bytes',
    help: 'Memory in use that the kernel cannot simply take back.',
    type: 'gauge',
    value: ({ memoryWorkingSet }) => memoryWorkingSet,
  },
  {
    name: 'container_memory_rss',
    help: 'Memory of processes alone, in bytes.',
    type: 'gauge',
    value: ({ memoryRss }) => memoryRss,
  },
  {
    name: 'container_memory_cache',
    help: 'Memory of cached files, in bytes.',
    type: 'gauge',
    value: ({ memoryCache }) => memoryCache,
  },
  {
    name: 'container_memory_mapped_file',
    help: 'Memory of mapped files, in bytes.',
    type: 'gauge',
    value: ({ memoryMapped }) => memoryMapped,
  },
  {
    name: 'container_memory_failures_total',
    help: 'Page faults.',
    type: 'counter',
    value: ({ pageFaults }) => pageFaults,
    each: [
      [{ failure_type: 'pgfault', scope: 'container' }, ({ pageFaults }) => pageFaults],
      [{ failure_type: 'pgmajfault', scope: 'container' }, ({ majorPageFaults }) => majorPageFaults],
    ],
  },
  {
    name: 'container_oom_events_total',
    help: 'Processes that were ended for want of memory.',
    type: 'counter',
    value: ({ oomKills }) => oomKills,
  },
  { name: 'container_processes', help: 'Processes that run.', type: 'gauge', value: ({ processes }) => processes },
]

const NETWORK: readonly (readonly [name: string, help: string, value: (counters: InterfaceCounters) => number])[] = [
  ['container_network_receive_bytes_total', 'Bytes received.', ({ receive }) => receive.bytes],
  ['container_network_receive_packets_total', 'Packets received.', ({ receive }) => receive.packets],
  ['container_network_receive_errors_total', 'Errors of receiving.', ({ receive }) => receive.errors],
  [
    'container_network_receive_packets_dropped_total',
    'Packets dropped that were received.',
    ({ receive }) => receive.dropped,
  ],
  ['container_network_transmit_bytes_total', 'Bytes sent.', ({ transmit }) => transmit.bytes],
  ['container_network_transmit_packets_total', 'Packets sent.', ({ transmit }) => transmit.packets],
  ['container_network_transmit_errors_total', 'Errors of sending.', ({ transmit }) => transmit.errors],
  [
    'container_network_transmit_packets_dropped_total',
    'Packets dropped that were to be sent.',
    ({ transmit }) => transmit.dropped,
  ],
]

/** One thing that is counted: a container, all of a pod together, or the whole node. */
interface CounterSeries {
  readonly labels: Labels
  readonly counters: ContainerCounters
  readonly startedAt: number | undefined
}

export function cadvisorFamilies({ machine, use, disk, pods, time }: NodeSnapshot): Family[] {
  const ids = {
    machine_id: machine.machineId,
    system_uuid: machine.systemUuid || machine.machineId,
    boot_id: machine.bootId,
  }
  const of = (name: string, help: string, value: number, labels: Labels = ids): Family => ({
    name,
    help,
    type: 'gauge',
    samples: [{ labels, value }],
  })
  const counted = pods.flatMap(countedOf)
  const node: Labels = { container: '', id: '/', image: '', name: '', namespace: '', pod: '' }
  const whole: Readonly<Record<string, number>> = {
    container_cpu_usage_seconds_total: use.cpuNanos / NANOS,
    container_memory_usage_bytes: use.memory,
    container_memory_working_set_bytes: use.memory,
  }
  return [
    {
      name: 'cadvisor_version_info',
      help: 'The machine that is measured.',
      type: 'gauge',
      samples: [{ labels: { kernelVersion: machine.kernelVersion, osVersion: machine.osImage }, value: 1 }],
    },
    of('machine_cpu_cores', 'Processors of the machine.', machine.cpus),
    of('machine_memory_bytes', 'Memory of the machine.', machine.memory),
    ...METRICS.map(({ name, help, type, value, each }): Family => ({
      name,
      help,
      type,
      samples: [
        ...(whole[name] === undefined ? [] : [{ labels: node, value: whole[name] }]),
        ...counted.flatMap(({ labels, counters }): Sample[] =>
          (each ?? [[{}, value] as const]).map(([more, read]) => ({
            labels: { ...labels, ...more },
            value: read(counters),
          })),
        ),
      ],
    })),
    of('container_fs_limit_bytes', 'Size of the file system.', disk.capacity, { ...node, device: 'state' }),
    of('container_fs_usage_bytes', 'Bytes of the file system that are in use.', disk.capacity - disk.available, {
      ...node,
      device: 'state',
    }),
    {
      name: 'container_start_time_seconds',
      help: 'When it began, in seconds since 1970.',
      type: 'gauge',
      samples: counted.flatMap(({ labels, startedAt }) =>
        startedAt === undefined ? [] : [{ labels, value: startedAt }],
      ),
    },
    {
      name: 'container_last_seen',
      help: 'When it was looked at, in seconds since 1970.',
      type: 'gauge',
      samples: counted.map(({ labels }) => ({ labels, value: time / 1000 })),
    },
    ...NETWORK.map(([name, help, value]): Family => ({
      name,
      help,
      type: 'counter',
      samples: pods.flatMap((pod) =>
        pod.interfaces.map((counters) => ({
          labels: { ...podLabels(pod), interface: counters.name },
          value: value(counters),
        })),
      ),
    })),
  ]
}

function countedOf(pod: PodSnapshot): CounterSeries[] {
  if (pod.containers.length === 0) return []
  const each = pod.containers.map(({ name, id, image, counters, startedAt }): CounterSeries => ({
    labels: { container: name, id: `${groupOf(pod)}/${id}`, image, name: id, namespace: pod.namespace, pod: pod.name },
    counters,
    startedAt,
  }))
  return [
    { labels: podLabels(pod), counters: sumOf(each.map(({ counters }) => counters)), startedAt: undefined },
    ...each,
  ]
}

/** As cAdvisor has it for all of a pod: no container, and no image. */
function podLabels(pod: PodSnapshot): Labels {
  return { container: '', id: groupOf(pod), image: '', name: '', namespace: pod.namespace, pod: pod.name }
}

function groupOf({ uid }: PodSnapshot): string {
  return `/gantry/pod${uid}`
}

function sumOf(all: readonly ContainerCounters[]): ContainerCounters {
  const [first, ...more] = all
  return more.reduce(
    (sum, counters) =>
      Object.fromEntries(
        Object.entries(sum).map(([name, value]: [string, number]) => [
          name,
          value + counters[name as keyof ContainerCounters],
        ]),
      ) as unknown as ContainerCounters,
    first!,
  )
}
