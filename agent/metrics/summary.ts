/**
 * /stats/summary, as a kubelet answers it.
 * https://kubernetes.io/docs/reference/instrumentation/node-metrics/#summary-api-source
 */
import { formatTime } from '../../proto/base/time.ts'
import type { JsonObject } from '../../proto/gen/types.ts'
import type { ContainerCounters } from '../runtime/contract.ts'
import type { InterfaceCounters, NodeSnapshot, PodSnapshot } from './snapshot.ts'

export function summaryOf({ node, time, machine, use, disk, pods }: NodeSnapshot): JsonObject {
  const at = formatTime(time)
  return {
    node: {
      nodeName: node,
      cpu: { time: at, usageCoreNanoSeconds: use.cpuNanos },
      memory: {
        time: at,
        availableBytes: Math.max(0, machine.memory - use.memory),
        usageBytes: use.memory,
        workingSetBytes: use.memory,
      },
      fs: {
        time: at,
        availableBytes: disk.available,
        capacityBytes: disk.capacity,
        usedBytes: disk.capacity - disk.available,
        inodesFree: disk.inodesFree,
        inodes: disk.inodes,
        inodesUsed: disk.inodes - disk.inodesFree,
      },
    },
    pods: pods.map((pod) => podSummary(pod, at)),
  }
}

function podSummary({ namespace, name, uid, createdAt, interfaces, containers }: PodSnapshot, at: string): JsonObject {
  const sum = (read: (counters: ContainerCounters) => number): number =>
    containers.reduce((all, { counters }) => all + read(counters), 0)
  return {
    podRef: { name, namespace, uid },
    ...(createdAt !== undefined && { startTime: createdAt }),
    containers: containers.map(({ name: container, startedAt, counters }) => ({
      name: container,
      ...(startedAt !== undefined && { startTime: formatTime(startedAt * 1000) }),
      ...amounts(at, (read) => read(counters)),
    })),
    ...amounts(at, sum),
    ...(interfaces.length > 0 && {
      network: { time: at, ...interfaceSummary(interfaces[0]!), interfaces: interfaces.map(interfaceSummary) },
    }),
    process_stats: { process_count: sum(({ processes }) => processes) },
  }
}

function amounts(at: string, of: (read: (counters: ContainerCounters) => number) => number): JsonObject {
  return {
    cpu: { time: at, usageCoreNanoSeconds: of(({ cpuNanos }) => cpuNanos) },
    memory: {
      time: at,
      usageBytes: of(({ memoryUsage }) => memoryUsage),
      workingSetBytes: of(({ memoryWorkingSet }) => memoryWorkingSet),
      rssBytes: of(({ memoryRss }) => memoryRss),
      pageFaults: of(({ pageFaults }) => pageFaults),
      majorPageFaults: of(({ majorPageFaults }) => majorPageFaults),
    },
  }
}

function interfaceSummary({ name, receive, transmit }: InterfaceCounters): JsonObject {
  return { name, rxBytes: receive.bytes, rxErrors: receive.errors, txBytes: transmit.bytes, txErrors: transmit.errors }
}
