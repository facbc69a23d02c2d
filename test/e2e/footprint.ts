/**
 * Everything of the host that a rig could leave something in, as far as it is this rig's: others may come and go
 * meanwhile.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { identify, readProcess } from '../../proto/base/process.ts'
import { run } from '../../proto/base/command.ts'

export interface Footprint {
  readonly processes: readonly string[]
  readonly interfaces: readonly string[]
  readonly routes: readonly string[]
  readonly tables: readonly string[]
  readonly cgroups: readonly string[]
  readonly mounts: readonly string[]
  readonly loops: readonly string[]
  readonly files: readonly string[]
}

interface Link {
  readonly ifname: string
  readonly master?: string
  readonly ifalias?: string
}

export async function footprintOf(rig: string): Promise<Footprint> {
  const links = JSON.parse((await run('ip', ['-json', 'link', 'show'])).stdout) as Link[]
  const bridges = links.filter(({ ifalias }) => ifalias === `gantry-rig:${rig}`).map(({ ifname }) => ifname)
  const routes = (await run('ip', ['route', 'show'])).stdout.trim().split('\n')
  const tables = (await run('nft', ['list', 'tables'])).stdout.trim().split('\n')
  const words = new RegExp(`(^|[/\\s_])${rig}([/\\s.]|$)`)
  return {
    processes: processesOf(rig, words),
    interfaces: links
      .filter(({ ifname, master }) => [ifname, master].some((name) => name !== undefined && bridges.includes(name)))
      .map(({ ifname }) => ifname),
    routes: routes.filter((route) => bridges.some((bridge) => route.includes(`dev ${bridge} `))),
    tables: tables.filter((table) => table.endsWith(`gantry_rig_${rig.replaceAll('-', '_')}`)),
    cgroups: ['.', ...entriesOf('/sys/fs/cgroup')]
      .map((hierarchy) => join('/sys/fs/cgroup', hierarchy, 'gantry-rig', rig))
      .filter((path) => existsSync(path)),
    mounts: readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => words.test(line)),
    loops: entriesOf('/sys/block')
      .map((device) => `/sys/block/${device}/loop/backing_file`)
      .filter((file) => words.test(ifThere(() => readFileSync(file, 'utf8')) ?? '')),
    files: ['/var/lib/gantry/rigs', '/run/gantry'].flatMap((folder) =>
      entriesOf(folder)
        .filter((name) => name === rig || name.startsWith(`${rig}.`))
        .map((name) => join(folder, name)),
    ),
  }
}

/** Names of what there is something of. */
export function marks(footprint: Footprint): string[] {
  return Object.entries(footprint)
    .filter(([, found]) => (found as readonly string[]).length > 0)
    .map(([name]) => name)
}

/** Those that live, by their cgroup or their command line; not this process. */
function processesOf(rig: string, words: RegExp): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && identify(Number(name)) !== undefined)
    .flatMap((pid) => {
      const [command, group] = [
        readProcess(Number(pid), 'cmdline')?.replaceAll('\0', ' '),
        readProcess(Number(pid), 'cgroup'),
      ]
      return command === undefined ||
        group === undefined ||
        !(words.test(command) || group.includes(`/gantry-rig/${rig}/`))
        ? []
        : [`${pid} ${command}`]
    })
}

function entriesOf(folder: string): string[] {
  return ifThere(() => readdirSync(folder)) ?? []
}

/** What others have on this machine may go while it is looked at, which is as if it had not been there. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    if (['ENOENT', 'ENXIO'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return undefined
    throw thrown
  }
}
