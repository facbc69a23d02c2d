/**
 * What an agent tells of itself, as a kubelet does, and of what nodes, pods and containers use in few numbers.
 * https://kubernetes.io/docs/reference/instrumentation/node-metrics/
 */
import { readdirSync, readFileSync } from 'node:fs'
import type { Family } from './exposition.ts'
import type { NodeSnapshot } from './snapshot.ts'

const NANOS = 1e9

/** Of /metrics. `version`: of the agent. */
export function kubeletFamilies({ node, pods }: NodeSnapshot, version: string): Family[] {
  const gauge = (name: string, help: string, value: number, labels: Record<string, string> = {}): Family => ({
    name,
    help,
    type: 'gauge',
    samples: [{ labels, value }],
  })
  const counter = (name: string, help: string, value: number): Family => ({
    name,
    help,
    type: 'counter',
    samples: [{ labels: {}, value }],
  })
  const running = pods.filter(({ containers }) => containers.length > 0)
  const { user, system } = process.cpuUsage()
  return [
    gauge('kubelet_node_name', 'The name of the node. The count is always 1.', 1, { node }),
    gauge('kubelet_running_pods', 'Pods with a container that runs.', running.length),
    gauge(
      'kubelet_running_containers',
      'Containers by state.',
      running.reduce((sum, { containers }) => sum + containers.length, 0),
      { container_state: 'running' },
    ),
    gauge('kubelet_active_pods', 'Pods that the node has to run.', pods.length, { static: '' }),
    gauge('kubernetes_build_info', 'The version of the agent.', 1, {
      git_version: version,
      platform: `${process.platform}/${process.arch}`,
    }),
    counter('process_cpu_seconds_total', 'Seconds of processors used.', (user + system) / 1e6),
    gauge('process_resident_memory_bytes', 'Memory in use.', process.memoryUsage.rss()),
    gauge('process_start_time_seconds', 'When the process began, in seconds since 1970.', startedAt()),
    gauge('process_open_fds', 'Open file descriptors.', readdirSync('/proc/self/fd').length),
    gauge('nodejs_heap_size_used_bytes', 'Heap in use.', process.memoryUsage().heapUsed),
    gauge(
      'nodejs_external_memory_bytes',
      'Memory of buffers and the like, beside the heap.',
      process.memoryUsage().external,
    ),
  ]
}

/** Of /metrics/resource. */
export function resourceFamilies({ use, pods }: NodeSnapshot): Family[] {
  const family = (name: string, help: string, type: Family['type'], samples: Family['samples']): Family => ({
    name,
    help,
    type,
    samples,
  })
  const containers = pods.flatMap(({ namespace, name: pod, containers: all }) =>
    all.map(({ name, counters, startedAt }) => ({ labels: { container: name, namespace, pod }, counters, startedAt })),
  )
  const perPod = pods
    .filter(({ containers: all }) => all.length > 0)
    .map(({ namespace, name: pod, containers: all }) => ({
      labels: { namespace, pod },
      cpuNanos: all.reduce((sum, { counters }) => sum + counters.cpuNanos, 0),
      memory: all.reduce((sum, { counters }) => sum + counters.memoryWorkingSet, 0),
    }))
  return [
    family(
      'container_cpu_usage_seconds_total',
      'Processor time that the container used, in seconds.',
      'counter',
      containers.map(({ labels, counters }) => ({ labels, value: counters.cpuNanos / NANOS })),
    ),
    family(
      'container_memory_working_set_bytes',
      'Memory that the container uses and the kernel cannot simply take back.',
      'gauge',
      containers.map(({ labels, counters }) => ({ labels, value: counters.memoryWorkingSet })),
    ),
    family(
      'container_start_time_seconds',
      'When the container began, in seconds since 1970.',
      'gauge',
      containers.flatMap(({ labels, startedAt }) => (startedAt === undefined ? [] : [{ labels, value: startedAt }])),
    ),
    family('node_cpu_usage_seconds_total', 'Processor time that the node used, in seconds.', 'counter', [
      { labels: {}, value: use.cpuNanos / NANOS },
    ]),
    family(
      'node_memory_working_set_bytes',
      'Memory that the node uses and the kernel cannot simply take back.',
      'gauge',
      [{ labels: {}, value: use.memory }],
    ),
    family(
      'pod_cpu_usage_seconds_total',
      'Processor time that the pod used, in seconds.',
      'counter',
      perPod.map(({ labels, cpuNanos }) => ({ labels, value: cpuNanos / NANOS })),
    ),
    family(
      'pod_memory_working_set_bytes',
      'Memory that the pod uses and the kernel cannot simply take back.',
      'gauge',
      perPod.map(({ labels, memory }) => ({ labels, value: memory })),
    ),
    family('resource_scrape_error', '1 if there was an error while the numbers were read, otherwise 0.', 'gauge', [
      { labels: {}, value: 0 },
    ]),
  ]
}

function startedAt(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const booted = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? 0)
  return booted + Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) / 100
}
