/** What a node and its pods have used until now: read from the kernel when somebody asks, and never otherwise. */
import { readFile, statfs } from 'node:fs/promises'
import type { Clock } from '../../proto/base/clock.ts'
import type { MachineUse } from '../node/machine-cgroup.ts'
import type { Machine } from '../node/machine.ts'
import type { ContainerCounters, RuntimeDriver } from '../runtime/contract.ts'
import type { StreamTarget, TargetContainer } from '../streams/target.ts'
import { readMachineUse } from '../streams/usage-meter.ts'

/** One interface of a pod; packets and bytes since it was made. */
export interface InterfaceCounters {
  readonly name: string
  readonly receive: DirectionCounters
  readonly transmit: DirectionCounters
}

interface DirectionCounters {
  readonly bytes: number
  readonly packets: number
  readonly errors: number
  readonly dropped: number
}

export interface ContainerSnapshot {
  readonly name: string
  readonly id: string
  readonly image: string
  /** Seconds since 1970; undefined where the kernel does not tell. */
  readonly startedAt: number | undefined
  readonly counters: ContainerCounters
}

export interface PodSnapshot {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly createdAt: string | undefined
  /** Empty for a pod on the node's own network. */
  readonly interfaces: readonly InterfaceCounters[]
  readonly containers: readonly ContainerSnapshot[]
}

export interface NodeSnapshot {
  readonly node: string
  /** Milliseconds since 1970. */
  readonly time: number
  readonly machine: Machine
  readonly use: MachineUse
  /** Bytes and inodes of the file system that holds the agent's state, images and logs. */
  readonly disk: {
    readonly capacity: number
    readonly available: number
    readonly inodes: number
    readonly inodesFree: number
  }
  readonly pods: readonly PodSnapshot[]
}

export interface SnapshotParts {
  readonly node: string
  /** Every pod of the node. */
  readonly targets: () => readonly StreamTarget[]
  readonly runtime: Pick<RuntimeDriver, 'counters'>
  readonly clock: Clock
  readonly stateDir: string
  readonly machine: () => Promise<Machine>
  /** Default: the machine's own /proc. */
  readonly proc?: string
  /** As for UsageMeter. */
  readonly use?: (() => Promise<MachineUse | undefined>) | undefined
}

export async function takeSnapshot(parts: SnapshotParts): Promise<NodeSnapshot> {
  const { node, targets, clock, stateDir, proc = '/proc' } = parts
  const [machine, use, disk, stat] = await Promise.all([
    parts.machine(),
    readMachineUse(proc, parts.use),
    statfs(stateDir),
    readFile(`${proc}/stat`, 'utf8'),
  ])
  const booted = Number(/^btime (\d+)$/m.exec(stat)?.[1] ?? NaN)
  const pods = await Promise.all(
    targets()
      .filter(({ gone }) => !gone)
      .map((target) => podSnapshot(parts, target, proc, booted)),
  )
  return {
    node,
    time: clock.now(),
    machine,
    use,
    pods,
    disk: {
      capacity: disk.bsize * disk.blocks,
      available: disk.bsize * disk.bavail,
      inodes: disk.files,
      inodesFree: disk.ffree,
    },
  }
}

async function podSnapshot(
  { runtime }: SnapshotParts,
  { pod, allRunning, anyRunning }: StreamTarget,
  proc: string,
  booted: number,
): Promise<PodSnapshot> {
  const { namespace, name, uid, creationTimestamp } = pod.metadata
  const { spec } = pod
  const images = new Map(
    [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])].map((container) => [
      container.name,
      container.image ?? '',
    ]),
  )
  const containers = await Promise.all(
    allRunning.map(async (container): Promise<ContainerSnapshot[]> => {
      const [counters, startedAt] = await Promise.all([
        runtime.counters(container.id),
        startOf(container, proc, booted),
      ])
      return counters === undefined
        ? []
        : [{ name: container.name, id: container.id, image: images.get(container.name) ?? '', startedAt, counters }]
    }),
  )
  const interfaces =
    spec.hostNetwork === true || anyRunning === undefined
      ? []
      : parseInterfaces(await readOptional(`${proc}/${anyRunning.pid}/net/dev`))
  return { namespace, name, uid, createdAt: creationTimestamp, interfaces, containers: containers.flat() }
}

/**
 * When its first process began: in hundredths of a second since the boot, the 22nd field.
 * https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
async function startOf({ pid }: TargetContainer, proc: string, booted: number): Promise<number | undefined> {
  const text = await readOptional(`${proc}/${pid}/stat`)
  // The second field, the program's name, may hold anything, parentheses and spaces too.
  const ticks = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? NaN)
  const seconds = booted + ticks / 100
  return Number.isFinite(seconds) ? seconds : undefined
}

/** All interfaces but the loopback. https://man7.org/linux/man-pages/man5/proc_pid_net.5.html */
export function parseInterfaces(dev: string): InterfaceCounters[] {
  return dev.split('\n').flatMap((line) => {
    const [, name, numbers] = /^\s*([^:\s]+):\s*(.*)$/.exec(line) ?? []
    if (name === undefined || name === 'lo') return []
    const [
      bytes = 0,
      packets = 0,
      errors = 0,
      dropped = 0,
      ,
      ,
      ,
      ,
      sent = 0,
      sentPackets = 0,
      sentErrors = 0,
      sentDropped = 0,
    ] = numbers!.trim().split(/\s+/).map(Number)
    return [
      {
        name,
        receive: { bytes, packets, errors, dropped },
        transmit: { bytes: sent, packets: sentPackets, errors: sentErrors, dropped: sentDropped },
      },
    ]
  })
}

/** '' for a process that has ended. */
async function readOptional(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    if (['ENOENT', 'ESRCH', 'EINVAL'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return ''
    throw thrown
  }
}
