/** What the machine is: read from /proc, /sys and /etc. */
import { readFile, statfs } from 'node:fs/promises'
import { arch, hostname, networkInterfaces, release } from 'node:os'
import { GantryError } from '../../proto/base/errors.ts'

export interface Machine {
  readonly hostname: string
  /** As Kubernetes names them: amd64, arm64, … */
  readonly architecture: string
  readonly cpus: number
  /** Bytes. */
  readonly memory: number
  /** Bytes of the file system that holds the agent's state. */
  readonly disk: number
  readonly kernelVersion: string
  readonly osImage: string
  readonly machineId: string
  readonly systemUuid: string
  readonly bootId: string
  /** The machine's own IPv4 address: of the interface that the default route takes. */
  readonly address: string
}

export async function readMachine(stateDir: string): Promise<Machine> {
  const [cpuinfo, meminfo, disk, osRelease, machineId, systemUuid, bootId, routes] = await Promise.all([
    readFile('/proc/cpuinfo', 'utf8'),
    readFile('/proc/meminfo', 'utf8'),
    statfs(stateDir),
    readOptional('/etc/os-release'),
    readOptional('/etc/machine-id'),
    readOptional('/sys/class/dmi/id/product_uuid'),
    readOptional('/proc/sys/kernel/random/boot_id'),
    readOptional('/proc/net/route'),
  ])
  return {
    hostname: hostname(),
    architecture: ARCHITECTURES[arch()] ?? arch(),
    cpus: cpuinfo.split('\n').filter((line) => /^processor\s*:/.test(line)).length || 1,
    memory: meminfoBytes(meminfo, 'MemTotal'),
    disk: disk.bsize * disk.blocks,
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux',
    machineId: machineId.trim(),
    systemUuid: systemUuid.trim(),
    bootId: bootId.trim(),
    address: machineAddress(defaultInterface(routes)),
  }
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64le',
  s390x: 's390x',
  riscv64: 'riscv64',
}

/** '' if it is not there or may not be read. */
async function readOptional(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (error.code === 'NotFound' || error.code === 'Forbidden') return ''
    throw error
  }
}

/** Bytes of a line of /proc/meminfo. https://man7.org/linux/man-pages/man5/proc_meminfo.5.html */
export function meminfoBytes(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024
}

/** Destination 00000000 in /proc/net/route. */
export function defaultInterface(routes: string): string | undefined {
  return routes
    .split('\n')
    .map((line) => line.split('\t'))
    .find((fields) => fields[1] === '00000000')?.[0]
}

function machineAddress(preferred: string | undefined): string {
  const all = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter((address) => address.family === 'IPv4' && !address.internal)
      .map((address) => ({ name, address: address.address })),
  )
  return (all.find((found) => found.name === preferred) ?? all[0])?.address ?? '127.0.0.1'
}
