/** What host-check looks at, read from this host. Changes nothing. */
import { access, constants, readFile, statfs } from 'node:fs/promises'
import { freemem } from 'node:os'
import { dirname, join } from 'node:path'
import { CgroupTree, type CgroupMode } from './cgroup-tree.ts'
import { runProgram, searchPath } from './programs.ts'

/** Where machines' disks are. */
export const DISKS = '/var/lib/gantry'

export interface Host {
  readonly root: boolean
  /** Of PROGRAMS, those that are not on the path. */
  readonly missing: readonly string[]
  readonly cgroup: { readonly mode: CgroupMode | 'none'; readonly controllers: readonly string[] }
  readonly inotifyInstances: number
  readonly inotifyWatches: number
  /** Of the whole host, and those in use. */
  readonly files: { readonly most: number; readonly used: number }
  /** That this process, and so what it starts, may have open (RLIMIT_NOFILE). */
  readonly openFiles: number
  readonly pidMax: number
  /** Entries of the neighbour table at most (gc_thresh3), which all network namespaces share. */
  readonly neighbours: number
  readonly memoryBytes: number
  readonly diskBytes: number
  /** Kernel features, each tried out or looked up. */
  readonly features: Readonly<Record<Feature, boolean>>
}

export type Feature = 'overlay' | 'ext4' | 'veth' | 'bridge' | 'nftables' | 'loop' | 'forwarding'

/** Program → Debian package. */
export const PROGRAMS: Readonly<Record<string, string>> = {
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  fallocate: 'util-linux',
  mount: 'mount',
  'mkfs.ext4': 'e2fsprogs',
  perl: 'perl-base',
  ip: 'iproute2',
  nft: 'nftables',
  crun: 'crun',
  conmon: 'conmon',
  etcd: 'etcd-server',
  'nats-server': 'nats-server',
  'docker-registry': 'docker-registry',
  zstd: 'zstd',
}

/** Where conmon's package has it. */
const CONMON_PATH = '/usr/libexec/podman'

export async function observeHost(): Promise<Host> {
  const missing = await missingPrograms()
  const [
    cgroup,
    inotifyInstances,
    inotifyWatches,
    files,
    openFiles,
    pidMax,
    neighbours,
    memoryBytes,
    diskBytes,
    features,
  ] = await Promise.all([
    cgroupFacts(),
    setting('fs/inotify/max_user_instances'),
    setting('fs/inotify/max_user_watches'),
    openFileFacts(),
    openFileLimit(),
    setting('kernel/pid_max'),
    setting('net/ipv4/neigh/default/gc_thresh3'),
    availableMemory(),
    freeSpace(),
    kernelFeatures(missing),
  ])
  return {
    root: process.getuid?.() === 0,
    missing,
    cgroup,
    inotifyInstances,
    inotifyWatches,
    files,
    openFiles,
    pidMax,
    neighbours,
    memoryBytes,
    diskBytes,
    features,
  }
}

async function missingPrograms(): Promise<string[]> {
  const paths = [...searchPath().split(':'), CONMON_PATH]
  const found = await Promise.all(
    Object.keys(PROGRAMS).map(async (program) =>
      (await Promise.all(paths.map((path) => isAllowed(join(path, program), constants.X_OK)))).includes(true),
    ),
  )
  return Object.keys(PROGRAMS).filter((_, index) => !found[index])
}

async function isAllowed(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode)
    return true
  } catch (thrown) {
    if (['ENOENT', 'EACCES', 'EPERM', 'ENOTDIR', 'EROFS'].includes((thrown as NodeJS.ErrnoException).code ?? ''))
      return false
    throw thrown
  }
}

async function cgroupFacts(): Promise<Host['cgroup']> {
  if (!(await isAllowed('/sys/fs/cgroup', constants.R_OK))) return { mode: 'none', controllers: [] }
  const tree = await CgroupTree.open()
  return { mode: tree.mode, controllers: await tree.controllers() }
}

/** A limit of the kernel's; Infinity where it has none of that name. */
async function setting(path: string): Promise<number> {
  const file = `/proc/sys/${path}`
  return (await isAllowed(file, constants.R_OK)) ? Number((await readFile(file, 'utf8')).trim()) : Infinity
}

/** /proc/sys/fs/file-nr: in use, free, most. https://docs.kernel.org/admin-guide/sysctl/fs.html */
async function openFileFacts(): Promise<Host['files']> {
  const [used = 0, , most = Infinity] = (await readFile('/proc/sys/fs/file-nr', 'utf8')).trim().split(/\s+/).map(Number)
  return { used, most }
}

async function openFileLimit(): Promise<number> {
  const soft = /^Max open files\s+(\S+)/m.exec(await readFile('/proc/self/limits', 'utf8'))?.[1]
  return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft)
}

async function availableMemory(): Promise<number> {
  const kibibytes = /^MemAvailable:\s+(\d+) kB/m.exec(await readFile('/proc/meminfo', 'utf8'))?.[1]
  return kibibytes === undefined ? freemem() : Number(kibibytes) * 1024
}

async function freeSpace(directory = DISKS): Promise<number> {
  if (!(await isAllowed(directory, constants.F_OK))) return freeSpace(dirname(directory))
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}

/**
 * Links and tables are tried in a network namespace that goes with the try; what cannot be tried, because a program is
 * missing, is taken to be there: the program is named.
 */
const TRIES =
  'ip link add try0 type veth peer name try1 && echo veth; ip link add try2 type bridge && echo bridge; nft add table ip try && echo nftables; :'

async function kernelFeatures(missing: readonly string[]): Promise<Host['features']> {
  const [overlay, ext4, loop, forwarding, works] = await Promise.all([
    hasFileSystem('overlay'),
    hasFileSystem('ext4'),
    isAllowed('/dev/loop-control', constants.R_OK | constants.W_OK),
    isAllowed('/proc/sys/net/ipv4/ip_forward', constants.W_OK),
    missing.includes('unshare')
      ? ([] as string[])
      : runProgram('unshare', ['--net', 'sh', '-c', TRIES], { allow: [0, 1] }).then(({ stdout }) => stdout.split('\n')),
  ])
  const tried = (word: string, ...programs: readonly string[]): boolean =>
    works.includes(word) || [...programs, 'unshare'].some((program) => missing.includes(program))
  return {
    overlay,
    ext4,
    veth: tried('veth', 'ip'),
    bridge: tried('bridge', 'ip'),
    nftables: tried('nftables', 'nft'),
    loop,
    forwarding,
  }
}

/** Known to the kernel, or a module that it loads when it is mounted. */
async function hasFileSystem(name: string): Promise<boolean> {
  if ((await readFile('/proc/filesystems', 'utf8')).split('\n').some((line) => line.split('\t')[1] === name))
    return true
  const paths = ['/usr/sbin/modprobe', '/sbin/modprobe']
  for (const path of paths)
    if (await isAllowed(path, constants.X_OK))
      return (await runProgram(path, ['--dry-run', name], { allow: [0, 1] })).code === 0
  return false
}
