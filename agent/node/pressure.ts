/**
 * Signs that a machine runs out of something.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-conditions
 */
import { readFile, statfs } from 'node:fs/promises'
import { formatTime } from '../../proto/base/time.ts'
import type { NodeCondition } from '../../proto/gen/types.ts'
import { meminfoBytes } from './machine.ts'

export interface ResourceLevels {
  /** Bytes. */
  readonly memoryAvailable: number
  /** Parts of the whole, 0–1. */
  readonly diskFree: number
  readonly inodesFree: number
  readonly processes: number
  readonly processLimit: number
}

/** Kubernetes' own thresholds. */
const LEAST_MEMORY = 100 * 1024 * 1024
const LEAST_DISK = 0.1
const LEAST_INODES = 0.05
const MOST_PROCESSES = 0.9

export async function readLevels(stateDir: string): Promise<ResourceLevels> {
  const [meminfo, disk, loadavg, pidMax] = await Promise.all([
    readFile('/proc/meminfo', 'utf8'),
    statfs(stateDir),
    readFile('/proc/loadavg', 'utf8'),
    readFile('/proc/sys/kernel/pid_max', 'utf8'),
  ])
  return {
    memoryAvailable: meminfoBytes(meminfo, 'MemAvailable'),
    diskFree: disk.blocks === 0 ? 1 : disk.bavail / disk.blocks,
    inodesFree: disk.files === 0 ? 1 : disk.ffree / disk.files,
    processes: Number(/\d+\/(\d+)/.exec(loadavg)?.[1] ?? 0),
    processLimit: Number(pidMax),
  }
}

/** MemoryPressure, DiskPressure and PIDPressure; `Ready` is the control plane's to say. */
export function pressureConditions(levels: ResourceLevels, now: number): NodeCondition[] {
  const { memoryAvailable, diskFree, inodesFree, processes, processLimit } = levels
  const time = formatTime(now)
  const condition = (
    type: string,
    holds: boolean,
    reasons: readonly [pressed: string, free: string],
    message: string,
  ): NodeCondition => ({
    type,
    status: holds ? 'True' : 'False',
    reason: reasons[holds ? 0 : 1],
    message,
    lastHeartbeatTime: time,
    lastTransitionTime: time,
  })
  return [
    condition(
      'MemoryPressure',
      memoryAvailable < LEAST_MEMORY,
      ['InsufficientMemory', 'SufficientMemory'],
      `${Math.floor(memoryAvailable / 1024 / 1024)} MiB of memory available`,
    ),
    condition(
      'DiskPressure',
      diskFree < LEAST_DISK || inodesFree < LEAST_INODES,
      ['DiskFull', 'SufficientDisk'],
      `${percent(diskFree)} of the disk and ${percent(inodesFree)} of its inodes free`,
    ),
    condition(
      'PIDPressure',
      processes > processLimit * MOST_PROCESSES,
      ['TooManyProcesses', 'SufficientPIDs'],
      `${processes} of ${processLimit} processes`,
    ),
  ]
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`
}
