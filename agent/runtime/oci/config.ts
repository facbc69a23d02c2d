/**
 * A container's OCI configuration. https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md and
 * config-linux.md
 */
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import type { ContainerSpec, Mount, SandboxSpec } from '../contract.ts'
import { resolveCapabilities } from './capabilities.ts'
import { CPU_PERIOD_MICROS } from './cgroups.ts'
import { defaultSeccomp } from './seccomp.ts'

export interface OciMount {
  readonly destination: string
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
}

export interface OciDevice {
  readonly path: string
  readonly type: 'c' | 'b'
  readonly major: number
  readonly minor: number
  readonly fileMode: number
  readonly uid: number
  readonly gid: number
}

export interface OciProcess {
  readonly terminal: boolean
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] }
  readonly args: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly capabilities: Readonly<Record<'bounding' | 'effective' | 'permitted', readonly string[]>>
  readonly noNewPrivileges: boolean
  readonly oomScoreAdj?: number
  /** Of the terminal at first. */
  readonly consoleSize?: { readonly height: number; readonly width: number }
}

export interface OciConfig {
  readonly ociVersion: string
  readonly process: OciProcess
  readonly root: { readonly path: string; readonly readonly: boolean }
  readonly hostname?: string
  readonly mounts: readonly OciMount[]
  readonly linux: Readonly<Record<string, unknown>>
}

/** Paths of what the pod's containers share; a pid namespace only if they share one. */
export interface SharedNamespaces {
  readonly ipc: string
  readonly uts: string
  readonly shm: string
  readonly pid: string | undefined
}

/** What this machine and the agent's own process allow. */
export interface HostFacts {
  readonly cgroupVersion: 1 | 2
  readonly limitsSwap: boolean
  /** Without "CAP_". */
  readonly capabilities: readonly string[]
  readonly oomScoreAdj: number
}

export interface ConfigInput {
  readonly spec: ContainerSpec
  readonly sandbox: SandboxSpec
  readonly shared: SharedNamespaces
  readonly host: HostFacts
  readonly cgroupsPath: string
  /** Of a Localhost profile, parsed. */
  readonly localSeccomp: unknown
  /** The host's devices, for a privileged container. */
  readonly devices: readonly OciDevice[]
}

const OCI_VERSION = '1.0.2'
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What of /proc and /sys tells about, or reaches, the machine: hidden, or not writable. */
const MASKED_PROC = 'acpi asound interrupts kcore keys latency_stats sched_debug scsi timer_list timer_stats'
  .split(' ')
  .map((name) => `/proc/${name}`)
const MASKED_SYS = ['/sys/devices/virtual/powercap', '/sys/firmware']
const READ_ONLY_PROC = 'bus fs irq sys sysrq-trigger'.split(' ').map((name) => `/proc/${name}`)

/** Pure: what is read from the machine comes with the input. */
export function containerConfig(input: ConfigInput): OciConfig {
  const { spec, sandbox, host, shared } = input
  const capabilities = resolveCapabilities(spec.capabilities, spec.privileged, host.capabilities)
  const env = spec.env.some((entry) => entry.startsWith('PATH=')) ? [...spec.env] : [PATH, ...spec.env]
  if (spec.tty && !env.some((entry) => entry.startsWith('TERM='))) env.push('TERM=xterm')
  const propagation = spec.mounts.some((mount) => mount.propagation === 'rshared')
    ? 'rshared'
    : spec.mounts.some((mount) => mount.propagation === 'rslave')
      ? 'rslave'
      : undefined
  return {
    ociVersion: OCI_VERSION,
    process: {
      terminal: spec.tty,
      user: { uid: spec.user.uid, gid: spec.user.gid, additionalGids: spec.user.additionalGids },
      args: spec.args,
      env,
      cwd: spec.cwd === '' ? '/' : spec.cwd,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: !spec.allowPrivilegeEscalation,
      ...oomScore(spec.oomScoreAdj, host),
    },
    root: { path: spec.rootfs, readonly: spec.readOnlyRootfs },
    ...(sandbox.network === undefined ? {} : { hostname: sandbox.hostname }),
    mounts: mounts(input),
    linux: {
      namespaces: namespaces(sandbox, shared, host),
      cgroupsPath: input.cgroupsPath,
      resources: resources(spec, host),
      ...(spec.privileged ? { devices: input.devices } : {}),
      ...(Object.keys(sandbox.sysctls).length === 0 ? {} : { sysctl: sandbox.sysctls }),
      ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
      ...(spec.privileged
        ? {}
        : {
            maskedPaths: spec.unmaskedProc ? MASKED_SYS : [...MASKED_PROC, ...MASKED_SYS],
            readonlyPaths: spec.unmaskedProc ? [] : READ_ONLY_PROC,
          }),
      ...seccomp(input, capabilities),
    },
  }
}

/**
 * Lowering the score below the agent's own takes CAP_SYS_RESOURCE (proc_pid_oom_score_adj(5)); without it the agent's
 * own is the lowest.
 */
function oomScore(wanted: number, host: HostFacts): { oomScoreAdj?: number } {
  return wanted < host.oomScoreAdj && !host.capabilities.includes('SYS_RESOURCE') ? {} : { oomScoreAdj: wanted }
}

function seccomp({ spec, localSeccomp }: ConfigInput, capabilities: readonly string[]): { seccomp?: unknown } {
  if (spec.privileged) return {}
  switch (spec.seccomp.type) {
    case 'Unconfined':
      return {}
    case 'Localhost':
      return { seccomp: localSeccomp }
    case 'RuntimeDefault':
      return { seccomp: defaultSeccomp(capabilities) }
  }
}

function namespaces(
  sandbox: SandboxSpec,
  shared: SharedNamespaces,
  host: HostFacts,
): { type: string; path?: string }[] {
  return [
    { type: 'mount' },
    ...(sandbox.network === undefined
      ? []
      : [
          { type: 'network', path: sandbox.network.netns },
          { type: 'uts', path: shared.uts },
        ]),
    ...(sandbox.hostIpc ? [] : [{ type: 'ipc', path: shared.ipc }]),
    ...(sandbox.hostPid ? [] : [shared.pid === undefined ? { type: 'pid' } : { type: 'pid', path: shared.pid }]),
    ...(host.cgroupVersion === 2 ? [{ type: 'cgroup' }] : []),
  ]
}

function resources(spec: ContainerSpec, host: HostFacts): unknown {
  const { cpuShares, cpuQuotaMicros, memoryLimit, pidsLimit } = spec.resources
  return {
    devices: [{ allow: spec.privileged, access: 'rwm' }],
    cpu: {
      ...(cpuShares === 0 ? {} : { shares: cpuShares }),
      ...(cpuQuotaMicros === 0 ? {} : { quota: cpuQuotaMicros, period: CPU_PERIOD_MICROS }),
    },
    // Memory and swap together: no more than memory alone, so that a limit is one.
    ...(memoryLimit === 0 ? {} : { memory: { limit: memoryLimit, ...(host.limitsSwap ? { swap: memoryLimit } : {}) } }),
    ...(pidsLimit === 0 ? {} : { pids: { limit: pidsLimit } }),
    // For want of memory the kernel ends the container as a whole, as with Kubernetes: one without some of its
    // processes would go on unnoticed.
    ...(host.cgroupVersion === 2 ? { unified: { 'memory.oom.group': '1' } } : {}),
  }
}

function mounts({ spec, sandbox, shared }: ConfigInput): OciMount[] {
  const system: OciMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev/shm',
      type: 'bind',
      source: sandbox.hostIpc ? '/dev/shm' : shared.shm,
      options: ['rbind', 'nosuid', 'noexec', 'nodev'],
    },
    {
      destination: '/sys',
      type: 'sysfs',
      source: 'sysfs',
      options: ['nosuid', 'noexec', 'nodev', spec.privileged ? 'rw' : 'ro'],
    },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: ['nosuid', 'noexec', 'nodev', 'relatime', spec.privileged ? 'rw' : 'ro'],
    },
  ]
  const own = new Set(spec.mounts.map(({ destination }) => destination))
  // Shallow first, so that no mount hides one below it that was made before.
  const asked = spec.mounts.map(ociMount).sort((a, b) => depth(a.destination) - depth(b.destination))
  return [...system.filter(({ destination }) => !own.has(destination)), ...asked]
}

function depth(path: string): number {
  return path.split('/').filter((part) => part !== '').length
}

function ociMount(mount: Mount): OciMount {
  const access = mount.readOnly ? 'ro' : 'rw'
  if (mount.type === 'tmpfs') {
    return {
      destination: mount.destination,
      type: 'tmpfs',
      source: 'tmpfs',
      options: [
        'nosuid',
        'nodev',
        'mode=1777',
        ...(mount.sizeLimit === undefined ? [] : [`size=${mount.sizeLimit}`]),
        access,
      ],
    }
  }
  const propagation =
    mount.propagation === undefined || mount.propagation === 'private' ? 'rprivate' : mount.propagation
  return { destination: mount.destination, type: 'bind', source: mount.source, options: ['rbind', propagation, access] }
}

/** The file of a Localhost profile. NotFound or InvalidArgument name it. */
export async function readSeccompProfile(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new GantryError('NotFound', `seccomp profile ${path} cannot be read`, {
      cause,
      details: [{ field: 'seccomp', value: path }],
    })
  })
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new GantryError('InvalidArgument', `seccomp profile ${path} is no JSON`, {
      cause,
      details: [{ field: 'seccomp', value: path }],
    })
  }
}

const NOT_DEVICES = new Set([
  '/dev/pts',
  '/dev/shm',
  '/dev/mqueue',
  '/dev/hugepages',
  '/dev/fd',
  '/dev/console',
  '/dev/ptmx',
])

/** The host's device files below /dev, without those each container has of its own. */
export async function hostDevices(directory = '/dev'): Promise<OciDevice[]> {
  const found: OciDevice[] = []
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (NOT_DEVICES.has(path)) continue
    if (entry.isDirectory()) found.push(...(await hostDevices(path)))
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) continue
    const { rdev, mode, uid, gid } = await stat(path)
    // makedev(3): 12 bits of minor around 12 of major, as glibc lays them out below 2^32.
    const major = (rdev >> 8) & 0xfff
    const minor = (rdev & 0xff) | ((rdev >> 12) & 0xfff00)
    found.push({ path, type: entry.isBlockDevice() ? 'b' : 'c', major, minor, fileMode: mode & 0o777, uid, gid })
  }
  return found
}
