/** A rig's own part of the cgroup tree, on hosts with cgroup v2, v1 or both. https://docs.kernel.org/admin-guide/cgroup-v2.html */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { delay, systemClock } from '../../proto/base/clock.ts'

const ROOT = '/sys/fs/cgroup'

/** Where each hierarchy is mounted: one on v2, one per controller on v1. */
async function hierarchies(): Promise<string[]> {
  if (existsSync(join(ROOT, 'cgroup.controllers'))) return [ROOT]
  const names = await readdir(ROOT)
  return names.map((name) => join(ROOT, name)).filter((path) => existsSync(join(path, 'cgroup.procs')))
}

/** Makes a group in every hierarchy (path below the root) and puts a process into it. */
export async function joinCgroup(path: string, pid: number): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const directory = join(hierarchy, path)
    await mkdir(directory, { recursive: true })
    await inherit(hierarchy, path)
    await writeFile(join(directory, 'cgroup.procs'), String(pid))
  }
}

/** A new group has no cpus or controllers until they are handed down from its parents. */
async function inherit(hierarchy: string, path: string): Promise<void> {
  let parent = hierarchy
  for (const part of path.split('/').filter((name) => name !== '')) {
    const child = join(parent, part)
    if (existsSync(join(parent, 'cgroup.subtree_control'))) {
      const available = (await readFile(join(parent, 'cgroup.controllers'), 'utf8')).trim().split(' ').filter((name) => name !== '')
      if (available.length > 0) await writeFile(join(parent, 'cgroup.subtree_control'), available.map((name) => `+${name}`).join(' '))
    }
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const target = join(child, file)
      if (!existsSync(target) || existsSync(join(parent, 'cgroup.subtree_control'))) continue
      if ((await readFile(target, 'utf8')).trim() === '') await writeFile(target, (await readFile(join(parent, file), 'utf8')).trim())
    }
    parent = child
  }
}

/** Removes a group with all below it, waiting (up to `timeout` milliseconds) for ended processes to leave it. */
export async function removeCgroup(path: string, timeout = 5_000): Promise<void> {
  const deadline = systemClock.monotonic() + timeout
  for (const hierarchy of await hierarchies()) {
    while (existsSync(join(hierarchy, path))) {
      const busy = await removeTree(join(hierarchy, path))
      if (!busy) break
      if (systemClock.monotonic() > deadline) throw new Error(`${busy} still holds processes`)
      await delay(systemClock, 10)
    }
    const parent = dirname(join(hierarchy, path))
    if (parent !== hierarchy && existsSync(parent) && !(await readdir(parent, { withFileTypes: true })).some((entry) => entry.isDirectory())) await removeTree(parent)
  }
}

/** The first group that could not be removed yet, or undefined. */
async function removeTree(directory: string): Promise<string | undefined> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const busy = await removeTree(join(directory, entry.name))
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
