/**
 * The rigs' part of the cgroup tree, on hosts with cgroup v2, v1 or both. A machine's group has `system` (its init and
 * programs), a group per pod, and `side` (what is started on it from outside): limits hold for all of them together,
 * freezing spares `side`. https://docs.kernel.org/admin-guide/cgroup-v2.html,
 * https://docs.kernel.org/admin-guide/cgroup-v1/
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../../proto/base/errors.ts'
import { delay, systemClock } from '../../../../proto/base/clock.ts'

export type CgroupMode = 'v2' | 'v1' | 'hybrid'

/** A machine's group that is not frozen with it. */
export const SIDE = 'side'

/** Quotas of processor time are per 100 ms. */
const PERIOD_MICROS = 100_000

export interface Limits {
  /** Bytes; undefined: none. */
  readonly memoryBytes?: number
  readonly cpus?: number
}

/** Bytes a second on one block device ("7:3"). */
export interface Throttle {
  readonly device: string
  readonly bytesPerSecond: number
}

export class CgroupTree {
  readonly mode: CgroupMode
  readonly #root: string
  /** Where each hierarchy is mounted: one on v2, one per controller on v1. */
  readonly #hierarchies: readonly string[]

  private constructor(mode: CgroupMode, root: string, hierarchies: readonly string[]) {
    this.mode = mode
    this.#root = root
    this.#hierarchies = hierarchies
  }

  /** FailedPrecondition if there is none at `root`. */
  static async open(root = '/sys/fs/cgroup'): Promise<CgroupTree> {
    if (existsSync(join(root, 'cgroup.controllers'))) return new CgroupTree('v2', root, [root])
    const paths = existsSync(root)
      ? (await readdir(root)).map((name) => join(root, name)).filter((path) => existsSync(join(path, 'cgroup.procs')))
      : []
    if (paths.length === 0)
      throw new GantryError('FailedPrecondition', `no cgroup hierarchy is mounted below ${root}`, {
        details: [{ field: 'cgroup', remedy: `mount -t cgroup2 none ${root}` }],
      })
    return new CgroupTree(existsSync(join(root, 'unified/cgroup.procs')) ? 'hybrid' : 'v1', root, paths)
  }

  /** v2 controllers, or v1 hierarchies by their directory's name. */
  async controllers(): Promise<string[]> {
    if (this.mode === 'v2') return words(await readFile(join(this.#root, 'cgroup.controllers'), 'utf8'))
    return this.#hierarchies.map((path) => path.slice(this.#root.length + 1)).filter((name) => name !== 'unified')
  }

  /** Where groups are frozen and their processes looked up: v2 also where its controllers are v1's. */
  get #tracking(): string {
    return this.mode === 'v2' ? this.#root : join(this.#root, this.mode === 'hybrid' ? 'unified' : 'freezer')
  }

  /** Makes a group (path below the root) in every hierarchy. */
  async create(group: string): Promise<void> {
    await Promise.all(this.#hierarchies.map((hierarchy) => makeGroup(hierarchy, group)))
  }

  async join(group: string, pid: number): Promise<void> {
    await Promise.all(
      this.#hierarchies.map((hierarchy) => writeFile(join(hierarchy, group, 'cgroup.procs'), String(pid))),
    )
  }

  /**
   * The files that a process writes 0 to, to be in `group`, and where its like are looked up in `own` below that. Both
   * are made.
   */
  async joinFiles(group: string, own: string): Promise<string[]> {
    await this.create(group)
    await makeGroup(this.#tracking, `${group}/${own}`)
    return this.#hierarchies.map((hierarchy) =>
      join(hierarchy, group, hierarchy === this.#tracking ? own : '', 'cgroup.procs'),
    )
  }

  /** FailedPrecondition if the host has no controller for it. */
  async limit(group: string, { memoryBytes, cpus }: Limits): Promise<void> {
    if (memoryBytes !== undefined)
      await this.#set(group, 'memory', memoryBytes, {
        v2: ['memory.max', String(memoryBytes)],
        v1: ['memory.limit_in_bytes', String(memoryBytes)],
      })
    if (cpus !== undefined) {
      const quota = Math.round(cpus * PERIOD_MICROS)
      await this.#set(group, 'cpu', cpus, {
        v2: ['cpu.max', `${quota} ${PERIOD_MICROS}`],
        v1: ['cpu.cfs_quota_us', String(quota)],
      })
    }
  }

  async #set(
    group: string,
    controller: string,
    value: number,
    { v2, v1 }: Record<'v2' | 'v1', readonly [file: string, text: string]>,
  ): Promise<void> {
    const [file, text] = this.mode === 'v2' ? v2 : v1
    const path = join(this.#root, this.mode === 'v2' ? '' : controller, group, file)
    if (!existsSync(path))
      throw new GantryError(
        'FailedPrecondition',
        `this host's kernel cannot limit ${controller}: there is no ${file}`,
        { details: [{ field: controller, value: String(value), remedy: 'make the rig without this limit' }] },
      )
    await writeFile(path, text)
  }

  /**
   * Stops all processes of a machine but those beside it; resolves when they stand still. DeadlineExceeded if some do
   * not, which then go on.
   */
  async freeze(machine: string, timeout = 10_000): Promise<void> {
    const deadline = systemClock.monotonic() + timeout
    for (;;) {
      // Its own programs make groups until they stand still: look again after each round.
      const moving: string[] = []
      for (const group of await this.#parts(machine)) if (!(await this.#isStill(group))) moving.push(group)
      if (moving.length === 0) return
      if (systemClock.monotonic() > deadline) {
        await this.thaw(machine)
        throw new GantryError(
          'DeadlineExceeded',
          `not every process in ${moving.join(', ')} stood still within ${timeout} ms`,
        )
      }
      for (const group of moving) await this.#setFrozen(group, true)
      await delay(systemClock, 2)
    }
  }

  async thaw(machine: string): Promise<void> {
    for (const group of await this.#parts(machine)) await this.#setFrozen(group, false)
  }

  /** Thaws every machine in a rig's group. */
  async thawBelow(rig: string): Promise<void> {
    for (const machine of await subgroups(join(this.#tracking, rig))) await this.thaw(`${rig}/${machine}`)
  }

  /** True from the first moment of freeze. */
  async isFrozen(machine: string): Promise<boolean> {
    const file = join(this.#tracking, machine, 'system', this.mode === 'v1' ? 'freezer.self_freezing' : 'cgroup.freeze')
    return existsSync(file) && (await readFile(file, 'utf8')).trim() === '1'
  }

  async #parts(machine: string): Promise<string[]> {
    return (await subgroups(join(this.#tracking, machine)))
      .filter((name) => name !== SIDE)
      .map((name) => `${machine}/${name}`)
  }

  async #setFrozen(group: string, frozen: boolean): Promise<void> {
    const [file, text] =
      this.mode === 'v1' ? ['freezer.state', frozen ? 'FROZEN' : 'THAWED'] : ['cgroup.freeze', frozen ? '1' : '0']
    await unlessGone(() => writeFile(join(this.#tracking, group, file), text))
  }

  async #isStill(group: string): Promise<boolean> {
    const directory = join(this.#tracking, group)
    if (this.mode === 'v1')
      return (
        ((await unlessGone(() => readFile(join(directory, 'freezer.state'), 'utf8'))) ?? 'FROZEN').trim() === 'FROZEN'
      )
    return /^frozen 1$/m.test(
      (await unlessGone(() => readFile(join(directory, 'cgroup.events'), 'utf8'))) ?? 'frozen 1',
    )
  }

  /** Pids in a group and all below it. */
  async processes(group: string): Promise<number[]> {
    const directories = await this.#below(this.#tracking, group)
    return (
      await Promise.all(
        directories.map((directory) => unlessGone(() => readFile(join(directory, 'cgroup.procs'), 'utf8'))),
      )
    ).flatMap((text) => words(text ?? '').map(Number))
  }

  /** A frozen process of v1 dies only when it is thawed; one of v2 at once. */
  get diesFrozen(): boolean {
    return this.mode !== 'v1'
  }

  /**
   * Limits what a machine reads and writes on its own device past the page cache. v1 counts each group alone and what
   * the kernel writes back for all of them in the root group: so the limit stands in every group there is now, and in
   * the root's, which has no other use of that device. Undefined: no limit.
   */
  async throttle(machine: string, device: string, bytesPerSecond: number | undefined): Promise<void> {
    if (this.mode === 'v2') {
      const limit = bytesPerSecond ?? 'max'
      await unlessGone(() => writeFile(join(this.#root, machine, 'io.max'), `${device} rbps=${limit} wbps=${limit}`))
      return
    }
    const hierarchy = join(this.#root, 'blkio')
    for (const directory of [hierarchy, ...(await this.#below(hierarchy, machine))]) {
      for (const way of ['read', 'write'])
        await unlessGone(() =>
          writeFile(join(directory, `blkio.throttle.${way}_bps_device`), `${device} ${bytesPerSecond ?? 0}`),
        )
    }
  }

  async #below(hierarchy: string, group: string): Promise<string[]> {
    const found = [join(hierarchy, group)]
    for (let at = 0; at < found.length; at++)
      found.push(...(await subgroups(found[at]!)).map((name) => join(found[at]!, name)))
    return found.filter((directory) => existsSync(directory))
  }

  /** Removes a group with all below it, waiting (up to `timeout` milliseconds) for ended processes to leave it. */
  async remove(group: string, timeout = 5_000): Promise<void> {
    const deadline = systemClock.monotonic() + timeout
    await Promise.all(
      this.#hierarchies.map(async (hierarchy) => {
        for (;;) {
          const busy = await removeTree(join(hierarchy, group))
          if (busy === undefined) return
          if (systemClock.monotonic() > deadline)
            throw new GantryError('DeadlineExceeded', `${busy} still holds processes`)
          await delay(systemClock, 5)
        }
      }),
    )
  }

  /** Removes a group that has none below it. */
  async removeIfEmpty(group: string): Promise<void> {
    for (const hierarchy of this.#hierarchies)
      if ((await subgroups(join(hierarchy, group))).length === 0) await removeTree(join(hierarchy, group))
  }
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

/** Undefined if the group it asks is gone: ENODEV is said by files of a group that was removed while they were open. */
async function unlessGone<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (thrown) {
    if (['ENOENT', 'ENODEV'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return undefined
    throw thrown
  }
}

async function subgroups(directory: string): Promise<string[]> {
  const entries = (await unlessGone(() => readdir(directory, { withFileTypes: true }))) ?? []
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

/**
 * A new group has no cpus or controllers until they are handed down from its parents. Another rig may remove an empty
 * parent meanwhile: then again.
 */
async function makeGroup(hierarchy: string, group: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(join(hierarchy, group), { recursive: true })
      await handDown(hierarchy, group)
      return
    } catch (thrown) {
      if (!['ENOENT', 'ENODEV'].includes((thrown as NodeJS.ErrnoException).code ?? '') || attempt === 5)
        throw GantryError.from(thrown)
    }
  }
}

async function handDown(hierarchy: string, group: string): Promise<void> {
  const unified = existsSync(join(hierarchy, 'cgroup.controllers'))
  if (!unified && !existsSync(join(hierarchy, 'cpuset.cpus'))) return
  let parent = hierarchy
  for (const part of group.split('/')) {
    const child = join(parent, part)
    if (unified) {
      const available = words(await readFile(join(parent, 'cgroup.controllers'), 'utf8'))
      const enabled = words(await readFile(join(parent, 'cgroup.subtree_control'), 'utf8'))
      const wanted = available.filter((name) => !enabled.includes(name))
      if (wanted.length > 0)
        await writeFile(join(parent, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '))
    } else {
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        if ((await readFile(join(child, file), 'utf8')).trim() === '')
          await writeFile(join(child, file), (await readFile(join(parent, file), 'utf8')).trim())
      }
    }
    parent = child
  }
}

/** The first group that could not be removed yet, or undefined. */
async function removeTree(directory: string): Promise<string | undefined> {
  for (const name of await subgroups(directory)) {
    const busy = await removeTree(join(directory, name))
    if (busy !== undefined) return busy
  }
  try {
    await rmdir(directory)
    return undefined
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === 'EBUSY') return directory
    if (code === 'ENOENT') return undefined
    throw thrown
  }
}
