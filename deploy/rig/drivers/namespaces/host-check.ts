/** Whether a host can carry a rig: what it lacks, each with the remedy. */
import type { Demand, Shortcoming } from '../../contract.ts'
import { DISKS, PROGRAMS, type Feature, type Host } from './host-facts.ts'

const MEBI = 2 ** 20

/**
 * What one of each takes, beside its pods. Measured on a rig of five nodes at rest (Pss 21, 62 and 14 MB; 13, 29 and 6
 * threads; 34, 62 and 12 open files; 3 MB of disk each), with room for work: images, the log of etcd, a shim for each
 * pod.
 */
const NEEDS = {
  node: { memory: 48 * MEBI, disk: 64 * MEBI, pids: 48, files: 128, inotifyInstances: 1, inotifyWatches: 16 },
  controller: { memory: 128 * MEBI, disk: 256 * MEBI, pids: 64, files: 256, inotifyInstances: 0, inotifyWatches: 0 },
  registry: { memory: 24 * MEBI, disk: 64 * MEBI, pids: 16, files: 64, inotifyInstances: 0, inotifyWatches: 0 },
} as const

type Need = keyof typeof NEEDS.node

/** What the host itself, and pods, are left. */
const RESERVE = {
  memory: 256 * MEBI,
  disk: 512 * MEBI,
  pids: 1_024,
  files: 1_024,
  inotifyInstances: 16,
  inotifyWatches: 1_024,
} satisfies Record<Need, number>

/** What one program with many connections and watches may have open. */
const OPEN_FILES = 4_096
/** v1 hierarchies, or v2 controllers, that pods' limits and machines' groups are made of. */
const CONTROLLERS = {
  v2: ['cpu', 'memory', 'pids'],
  v1: ['cpu', 'memory', 'pids', 'freezer', 'devices'],
  hybrid: ['cpu', 'memory', 'pids', 'devices'],
} as const

const FEATURES: Readonly<
  Record<Feature, { readonly what: string; readonly remedy: string; readonly severity: Shortcoming['severity'] }>
> = {
  overlay: { what: 'overlayfs', remedy: 'modprobe overlay', severity: 'fatal' },
  ext4: { what: 'ext4', remedy: 'modprobe ext4', severity: 'fatal' },
  veth: { what: 'virtual Ethernet pairs', remedy: 'modprobe veth', severity: 'fatal' },
  bridge: { what: 'network bridges', remedy: 'modprobe bridge', severity: 'fatal' },
  nftables: { what: 'nftables', remedy: 'modprobe nf_tables', severity: 'fatal' },
  loop: {
    what: 'loop devices',
    remedy:
      'modprobe loop; in a container: start it privileged. Without, machines have no disks of their own, and faults of disks and power are not possible',
    severity: 'warning',
  },
  forwarding: {
    what: 'net.ipv4.ip_forward',
    remedy: 'in a container: start it privileged, so that the setting can be written',
    severity: 'fatal',
  },
}

export function findShortcomings(host: Host, { controllers, nodes }: Demand): Shortcoming[] {
  if (!host.root)
    return [
      {
        what: 'user',
        found: 'not root',
        needed: 'root: a rig is made of namespaces, mounts and cgroups',
        remedy: 'run it with sudo',
        severity: 'fatal',
      },
    ]
  const sum = (need: Need): number =>
    controllers * NEEDS.controller[need] + NEEDS.registry[need] + nodes * NEEDS.node[need]
  const found: Shortcoming[] = []
  const atLeast = (
    what: string,
    there: number,
    needed: number,
    remedy: string,
    severity: Shortcoming['severity'] = 'warning',
    say: (value: number) => string = String,
  ): void => {
    if (there < needed) found.push({ what, found: say(there), needed: say(needed), remedy, severity })
  }
  const sysctl = (name: string, there: number, needed: number): void =>
    atLeast(name, there, needed, `sysctl -w ${name}=${roundedUp(needed)}`)

  for (const program of host.missing)
    found.push({
      what: `program ${program}`,
      found: 'not installed',
      needed: 'installed',
      remedy: `apt-get install ${PROGRAMS[program]}`,
      severity: 'fatal',
    })
  found.push(...cgroupShortcomings(host.cgroup))
  for (const [feature, { what, remedy, severity }] of Object.entries(FEATURES) as [
    Feature,
    (typeof FEATURES)[Feature],
  ][]) {
    if (host.features[feature] || (feature === 'ext4' && !host.features.loop)) continue
    found.push({ what, found: 'not there', needed: 'there', remedy, severity })
  }

  const memory = sum('memory') + RESERVE.memory
  atLeast(
    'memory',
    host.memoryBytes,
    memory,
    `end other programs, or make the rig smaller: ${advice(host.memoryBytes - RESERVE.memory, 'memory', controllers)}`,
    'fatal',
    mebibytes,
  )
  atLeast(
    `disk space below ${DISKS}`,
    host.diskBytes,
    sum('disk') + RESERVE.disk,
    `remove files, or make the rig smaller: ${advice(host.diskBytes - RESERVE.disk, 'disk', controllers)}`,
    'fatal',
    mebibytes,
  )
  sysctl('fs.inotify.max_user_instances', host.inotifyInstances, sum('inotifyInstances') + RESERVE.inotifyInstances)
  sysctl('fs.inotify.max_user_watches', host.inotifyWatches, sum('inotifyWatches') + RESERVE.inotifyWatches)
  sysctl('fs.file-max', host.files.most, host.files.used + sum('files') + RESERVE.files)
  sysctl('kernel.pid_max', host.pidMax, sum('pids') + RESERVE.pids)
  // Every machine may know every other, and the host knows all: one table for all network namespaces.
  const machines = controllers + nodes + 1
  sysctl('net.ipv4.neigh.default.gc_thresh3', host.neighbours, machines * machines)
  atLeast('open files (ulimit -n)', host.openFiles, OPEN_FILES, `ulimit -n ${OPEN_FILES}`)
  return found
}

function cgroupShortcomings({ mode, controllers }: Host['cgroup']): Shortcoming[] {
  if (mode === 'none')
    return [
      {
        what: 'cgroups',
        found: 'not mounted at /sys/fs/cgroup',
        needed: 'version 2, 1 or both',
        remedy: 'mount -t cgroup2 none /sys/fs/cgroup',
        severity: 'fatal',
      },
    ]
  const missing = CONTROLLERS[mode].filter((name) => !controllers.includes(name))
  if (missing.length === 0) return []
  const remedy =
    mode === 'v2'
      ? `boot the kernel with ${missing.map((name) => `cgroup_enable=${name}`).join(' ')}`
      : `mount -t cgroup -o ${missing[0]} ${missing[0]} /sys/fs/cgroup/${missing[0]}`
  return [
    {
      what: 'cgroup controllers',
      found: controllers.join(' ') || 'none',
      needed: missing.join(' '),
      remedy,
      severity: 'fatal',
    },
  ]
}

/** How many nodes what is there would do for. */
function advice(there: number, need: Need, controllers: number): string {
  const nodes = Math.floor((there - controllers * NEEDS.controller[need] - NEEDS.registry[need]) / NEEDS.node[need])
  return nodes < 1 ? 'it does not do for one node' : `it does for ${nodes} node${nodes === 1 ? '' : 's'}`
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / MEBI)} MiB`
}

/** A number for a setting: the next power of two. */
function roundedUp(value: number): number {
  return 2 ** Math.ceil(Math.log2(value))
}
