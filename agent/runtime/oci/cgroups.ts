/**
 * Control groups, version 1, version 2, and the hybrid of both (controllers on version 1, an empty version 2 tree
 * beside them).
 * https://docs.kernel.org/admin-guide/cgroup-v1/ and https://docs.kernel.org/admin-guide/cgroup-v2.html
 *
 * Paths are as in the OCI config's `cgroupsPath`: absolute below each hierarchy's mount point.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile, readdir, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import { delay, type Clock } from '../../../proto/base/clock.ts'
import type { Resources } from '../contract.ts'

export const CPU_PERIOD_MICROS = 100_000
const USED_CONTROLLERS = ['cpu', 'memory', 'pids'] as const

export interface CgroupStats {
  readonly memory: number
  readonly memoryPeak: number
  readonly cpuNanos: number
  readonly processes: number
}

export interface CgroupLimits {
  /** Bytes. */
  readonly memory: number | undefined
  /** Processors; 0.5 is half of one. */
  readonly cpus: number | undefined
  readonly processes: number | undefined
}

/**
 * Version 1 has no word for memory without a limit: the highest multiple of a page that is a signed number of 64 bits.
 */
const NO_LIMIT = 2 ** 62

/** Controller, file, and what is written to it. */
type Setting = readonly [controller: string, file: string, value: string]

export type CgroupLayout =
  | {
      readonly version: 1
      readonly mounts: readonly string[]
      readonly controllers: ReadonlyMap<string, string>
      readonly unified: string | undefined
    }
  | { readonly version: 2; readonly mount: string }

/**
 * What is mounted, from the text of /proc/self/mountinfo (proc_pid_mountinfo(5)). FailedPrecondition if nothing usable
 * is.
 */
export function readLayout(mountinfo: string): CgroupLayout {
  const controllers = new Map<string, string>()
  const mounts: string[] = []
  let unified: string | undefined
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const point = before.split(' ')[4]
    const [type, , options = ''] = after.split(' ')
    if (point === undefined) continue
    if (type === 'cgroup2') unified ??= point
    if (type !== 'cgroup') continue
    mounts.push(point)
    for (const option of options.split(',')) controllers.set(option, point)
  }
  const missing = USED_CONTROLLERS.filter((controller) => !controllers.has(controller))
  if (missing.length < USED_CONTROLLERS.length) {
    if (missing.length > 0) throw lacking(`the controllers ${missing.join(', ')} of cgroup version 1 are not mounted`)
    return { version: 1, mounts, controllers, unified }
  }
  if (unified === undefined) throw lacking('no control groups are mounted under /sys/fs/cgroup')
  return { version: 2, mount: unified }
}

function lacking(message: string): GantryError {
  return new GantryError('FailedPrecondition', message, {
    details: [
      { field: 'cgroups', remedy: 'mount cgroup2 on /sys/fs/cgroup, or cgroup version 1 with cpu, memory and pids' },
    ],
  })
}

/**
 * Where this process stands among those of its own group, from the text of /proc/self/cgroup (cgroups(7)); undefined
 * where that is not visible.
 */
function ownProcesses(controllers: ReadonlyMap<string, string>, memberships: string): string | undefined {
  const path = /^\d+:pids:(.*)$/m.exec(memberships)?.[1]
  if (path === undefined) return undefined
  const file = join(controllers.get('pids')!, path, 'cgroup.procs')
  try {
    return readFileSync(file, 'utf8').split('\n').includes(String(process.pid)) ? file : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Version 2's weight (1–10,000) for version 1's shares (2–262,144), as the OCI runtimes convert. */
export function cpuWeight(shares: number): number {
  return shares === 0 ? 0 : 1 + Math.floor(((Math.min(262_144, Math.max(2, shares)) - 2) * 9999) / 262_142)
}

export class Cgroups {
  readonly layout: CgroupLayout
  readonly #clock: Clock
  readonly #own: string | undefined
  #moving = false

  /** `own`: the file with the processes of the group that this process is in, in some hierarchy of version 1. */
  constructor(layout: CgroupLayout, clock: Clock, own?: string) {
    this.layout = layout
    this.#clock = clock
    this.#own = own
  }

  static async detect(clock: Clock): Promise<Cgroups> {
    const layout = readLayout(await readFile('/proc/self/mountinfo', 'utf8'))
    return new Cgroups(
      layout,
      clock,
      layout.version === 1 ? ownProcesses(layout.controllers, await readFile('/proc/self/cgroup', 'utf8')) : undefined,
    )
  }

  /**
   * A process will soon be moved into a group. With version 1 the kernel first waits for a grace period, 10 ms on an
   * idle machine; but not for a second move soon after one. So this process is moved to where it is, while the
   * container's first process is on its way. (With version 2 processes are born in their group.)
   */
  expectMove(): void {
    if (this.#own === undefined || this.#moving) return
    this.#moving = true
    const done = (): void => void (this.#moving = false)
    // Only a hint: where it is not allowed, the container's own move waits.
    writeFile(this.#own, '0', { flag: 'r+' }).then(done, done)
  }

  /**
   * Makes a group with limits; for version 2 its ancestors hand the controllers down. There already: its limits are
   * set. FailedPrecondition if an ancestor cannot hand them down.
   */
  create(path: string, resources: Resources): void {
    if (this.layout.version === 2) {
      const parts = path.split('/').filter((part) => part !== '')
      let directory = this.layout.mount
      for (const part of parts) {
        handDown(directory)
        directory = join(directory, part)
        mkdirSync(directory, { recursive: true })
      }
    } else {
      for (const controller of USED_CONTROLLERS)
        mkdirSync(join(this.layout.controllers.get(controller)!, path), { recursive: true })
    }
    for (const [controller, file, value] of this.#limits(resources))
      writeFileSync(this.#file(controller, path, file), value)
  }

  /**
   * Sets the limits of a group with processes; what is 0 becomes no limit. FailedPrecondition if more memory is in use
   * than the new limit: a lower one would have the kernel end processes. `swap`: memory and swap together have the
   * limit, too.
   */
  async update(path: string, resources: Resources, swap: boolean): Promise<void> {
    const { memoryLimit } = resources
    const { memory: used = 0 } = (await this.stats(path)) ?? {}
    if (memoryLimit > 0 && used > memoryLimit) {
      throw new GantryError(
        'FailedPrecondition',
        `${used} bytes of memory are in use, more than the limit of ${memoryLimit} that is asked for`,
        {
          details: [{ field: 'memory', value: String(memoryLimit), remedy: 'ask for more, or restart the container' }],
        },
      )
    }
    const settings = [...this.#unlimited(resources), ...this.#limits(resources)]
    const ordered = this.layout.version === 1 && swap ? await this.#withSwap(path, settings, memoryLimit) : settings
    try {
      for (const [controller, file, value] of ordered)
        await writeFile(this.#file(controller, path, file), value, { flag: 'r+' })
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EBUSY') throw GantryError.from(cause)
      throw new GantryError(
        'FailedPrecondition',
        `the kernel cannot bring the memory of ${path} below ${memoryLimit} bytes`,
        { cause, details: [{ field: 'memory', value: String(memoryLimit) }] },
      )
    }
  }

  /** Memory and swap together are never below memory alone: raised, the sum goes first, lowered, it goes last. */
  async #withSwap(path: string, settings: readonly Setting[], memoryLimit: number): Promise<Setting[]> {
    const sum = ['memory', 'memory.memsw.limit_in_bytes', String(memoryLimit === 0 ? -1 : memoryLimit)] as const
    const before = Number((await readIfThere(this.#file('memory', path, 'memory.memsw.limit_in_bytes'))) ?? 0)
    return memoryLimit === 0 || memoryLimit > before ? [sum, ...settings] : [...settings, sum]
  }

  /** How many processes of the group the kernel killed for want of memory; 0 once the group is gone. */
  async oomKills(path: string): Promise<number> {
    const text = await readIfThere(
      this.#file('memory', path, this.layout.version === 2 ? 'memory.events' : 'memory.oom_control'),
    )
    return Number(/^oom_kill (\d+)$/m.exec(text ?? '')?.[1] ?? 0)
  }

  /** Names of the groups directly below one. */
  async below(path: string): Promise<string[]> {
    const entries = await readdir(this.#file('pids', path, ''), { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  }

  /** Kills what runs in a group. */
  async kill(path: string): Promise<void> {
    if (this.layout.version === 2) return writeIfThere(this.#file('', path, 'cgroup.kill'), '1')
    const pids = ((await readIfThere(this.#file('pids', path, 'cgroup.procs'))) ?? '')
      .split('\n')
      .filter((line) => line !== '')
    for (const pid of pids) {
      try {
        process.kill(Number(pid), 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw GantryError.from(error)
      }
    }
  }

  /** Kills what runs in a group and in those below it. */
  async killTree(path: string): Promise<void> {
    for (const name of await this.below(path)) await this.killTree(join(path, name))
    await this.kill(path)
  }

  /**
   * Memory is what the kernel cannot simply take back: usage without inactive file pages. Undefined once the group is
   * gone.
   */
  async stats(path: string): Promise<CgroupStats | undefined> {
    const v2 = this.layout.version === 2
    const [usage, peak, stat, cpu, processes] = await Promise.all([
      readIfThere(this.#file('memory', path, v2 ? 'memory.current' : 'memory.usage_in_bytes')),
      readIfThere(this.#file('memory', path, v2 ? 'memory.peak' : 'memory.max_usage_in_bytes')),
      readIfThere(this.#file('memory', path, 'memory.stat')),
      readIfThere(v2 ? this.#file('cpu', path, 'cpu.stat') : this.#file('cpuacct', path, 'cpuacct.usage')),
      readIfThere(this.#file('pids', path, 'pids.current')),
    ])
    if (usage === undefined || stat === undefined || processes === undefined) return undefined
    const inactive = Number((v2 ? /^inactive_file (\d+)$/m : /^total_inactive_file (\d+)$/m).exec(stat)?.[1] ?? 0)
    return {
      memory: Math.max(0, Number(usage) - inactive),
      memoryPeak: Number(peak ?? usage),
      cpuNanos: v2 ? Number(/^usage_usec (\d+)$/m.exec(cpu ?? '')?.[1] ?? 0) * 1000 : Number(cpu ?? 0),
      processes: Number(processes),
    }
  }

  /** The text of one of a group's files; undefined where there is no such file. `controller` is that of version 1. */
  text(controller: string, path: string, file: string): Promise<string | undefined> {
    return readIfThere(this.#file(controller, path, file))
  }

  /** What the processes of a group have at most: the least that it and its ancestors allow. Undefined: no limit. */
  async limits(path: string): Promise<CgroupLimits> {
    const parts = path.split('/').filter((part) => part !== '')
    const found = await Promise.all(
      Array.from({ length: parts.length + 1 }, (_, depth) => this.#ownLimits(parts.slice(0, depth).join('/'))),
    )
    const least = (limits: readonly (number | undefined)[]): number | undefined =>
      limits.reduce((a, b) => (a === undefined || (b !== undefined && b < a) ? b : a), undefined)
    return {
      memory: least(found.map(({ memory }) => memory)),
      cpus: least(found.map(({ cpus }) => cpus)),
      processes: least(found.map(({ processes }) => processes)),
    }
  }

  async #ownLimits(path: string): Promise<CgroupLimits> {
    const v2 = this.layout.version === 2
    const [memory, cpu, period, processes] = await Promise.all([
      readIfThere(this.#file('memory', path, v2 ? 'memory.max' : 'memory.limit_in_bytes')),
      readIfThere(this.#file('cpu', path, v2 ? 'cpu.max' : 'cpu.cfs_quota_us')),
      v2 ? undefined : readIfThere(this.#file('cpu', path, 'cpu.cfs_period_us')),
      readIfThere(this.#file('pids', path, 'pids.max')),
    ])
    // Version 2 says "max"; version 1 -1, and of memory a number so high that it stands for none.
    const limit = (text: string | undefined): number | undefined =>
      /^\d+$/.test(text?.trim() ?? '') && Number(text) < NO_LIMIT ? Number(text) : undefined
    const [quota, periodV2] = (cpu ?? '').trim().split(' ')
    const micros = limit(quota)
    return {
      memory: limit(memory),
      cpus: micros === undefined ? undefined : micros / Number((v2 ? periodV2 : period) ?? CPU_PERIOD_MICROS),
      processes: limit(processes),
    }
  }

  /**
   * True if swap can be limited in groups below one that is there, which must not be the root: the root has no limits.
   */
  async limitsSwap(parent: string): Promise<boolean> {
    return (
      (await readIfThere(
        this.#file('memory', parent, this.layout.version === 2 ? 'memory.swap.max' : 'memory.memsw.limit_in_bytes'),
      )) !== undefined
    )
  }

  /**
   * Removes a group with those below it from every hierarchy. The kernel may take a moment to forget processes that
   * have ended.
   */
  async remove(path: string): Promise<void> {
    const { layout } = this
    const mounts =
      layout.version === 2
        ? [layout.mount]
        : [...layout.mounts, ...(layout.unified === undefined ? [] : [layout.unified])]
    for (const mount of mounts) await this.#removeTree(join(mount, path))
  }

  /** Looked into only where it cannot be removed as it is: nearly always it can. */
  async #removeTree(directory: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await rmdir(directory)
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code
        if (code === 'ENOENT') return
        if ((code !== 'EBUSY' && code !== 'ENOTEMPTY') || tries === 40) throw GantryError.from(error)
      }
      const removed = await this.#removeBelow(directory)
      if (!removed) await delay(this.#clock, Math.min(100, 2 * tries))
    }
  }

  /** False: there was none. */
  async #removeBelow(directory: string): Promise<boolean> {
    const entries = await readdir(directory, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    const below = entries.filter((entry) => entry.isDirectory())
    for (const { name } of below) await this.#removeTree(join(directory, name))
    return below.length > 0
  }

  #file(controller: string, path: string, file: string): string {
    return join(
      this.layout.version === 2
        ? this.layout.mount
        : (this.layout.controllers.get(controller) ?? this.layout.mounts[0]!),
      path,
      file,
    )
  }

  /** What says that there is no limit, for the limits that there are to be none of. */
  #unlimited({ cpuQuotaMicros, memoryLimit }: Resources): Setting[] {
    const v2 = this.layout.version === 2
    return [
      ...(cpuQuotaMicros !== 0
        ? []
        : [['cpu', v2 ? 'cpu.max' : 'cpu.cfs_quota_us', v2 ? `max ${CPU_PERIOD_MICROS}` : '-1'] as const]),
      ...(memoryLimit !== 0
        ? []
        : [['memory', v2 ? 'memory.max' : 'memory.limit_in_bytes', v2 ? 'max' : '-1'] as const]),
    ]
  }

  #limits(resources: Resources): Setting[] {
    const { cpuShares, cpuQuotaMicros, memoryLimit, pidsLimit } = resources
    const v2 = this.layout.version === 2
    return [
      ...(cpuShares === 0
        ? []
        : [['cpu', v2 ? 'cpu.weight' : 'cpu.shares', String(v2 ? cpuWeight(cpuShares) : cpuShares)] as const]),
      ...(cpuQuotaMicros === 0
        ? []
        : [
            [
              'cpu',
              v2 ? 'cpu.max' : 'cpu.cfs_quota_us',
              v2 ? `${cpuQuotaMicros} ${CPU_PERIOD_MICROS}` : String(cpuQuotaMicros),
            ] as const,
          ]),
      ...(memoryLimit === 0
        ? []
        : [['memory', v2 ? 'memory.max' : 'memory.limit_in_bytes', String(memoryLimit)] as const]),
      ...(pidsLimit === 0 ? [] : [['pids', 'pids.max', String(pidsLimit)] as const]),
    ]
  }
}

/**
 * Lets the groups below one of version 2 have the controllers that Gantry uses. FailedPrecondition if it has them not
 * itself (ENOENT), or has processes (EBUSY): a group with processes has no limited groups below it.
 * https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint
 */
function handDown(directory: string): void {
  try {
    writeFileSync(
      join(directory, 'cgroup.subtree_control'),
      USED_CONTROLLERS.map((controller) => `+${controller}`).join(' '),
    )
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const refuse = (message: string): GantryError =>
      new GantryError('FailedPrecondition', message, {
        cause,
        details: [
          {
            field: 'cgroupParent',
            value: directory,
            remedy:
              'name a group whose parents have no processes and all controllers, or have the service manager delegate one',
          },
        ],
      })
    if (code === 'EBUSY')
      throw refuse(`control group ${directory} has processes, so it can have no groups with limits below it`)
    if (code !== 'ENOENT') throw cause
    const given = readFileSync(join(directory, 'cgroup.controllers'), 'utf8').trim().split(' ')
    throw refuse(
      `control group ${directory} lacks the controllers ${USED_CONTROLLERS.filter((controller) => !given.includes(controller)).join(', ')}`,
    )
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

async function writeIfThere(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'r+' })
  } catch (error) {
    if (!['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) throw GantryError.from(error)
  }
}
