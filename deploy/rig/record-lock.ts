/**
 * A lock between processes: a file that holds its holder's identity, so that one left by a process that has died is
 * known as such and taken over. The file appears with its content (it is linked into place), so nobody ever reads half
 * of one.
 */
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { delay, systemClock } from '../../proto/base/clock.ts'
import { identify, isAlive, type ProcessIdentity } from '../../proto/base/process.ts'
import { KeyedLock } from '../../proto/base/semaphore.ts'

interface Holder extends ProcessIdentity {
  /** Tells two holdings by one process apart. */
  readonly turn: number
}

/** Milliseconds between looks at a lock that another process holds. */
const INTERVAL = 3

/** Those of this process wait for each other here, in the order they came, and not on the file. */
const here = new KeyedLock()
let turns = 0

/**
 * Runs `work` while no other process holds the lock at `file`; Unavailable, naming the holder, after `timeout`
 * milliseconds.
 */
export function withLock<T>(file: string, work: () => Promise<T>, timeout = 10_000): Promise<T> {
  return here.run(file, async () => {
    const deadline = systemClock.monotonic() + timeout
    await take(file, deadline)
    try {
      return await work()
    } finally {
      await rm(file, { force: true })
    }
  })
}

async function take(file: string, deadline: number): Promise<void> {
  const me: Holder = { ...identify(process.pid)!, turn: turns++ }
  const mine = `${file}.${me.pid}-${me.turn}`
  try {
    for (;;) {
      await writeInFolder(mine, JSON.stringify(me))
      if (await tryLink(mine, file)) return
      const holder = await readHolder(file)
      if (holder === undefined) continue
      if (!isAlive(holder)) await removeDead(file, holder, deadline)
      else if (systemClock.monotonic() > deadline) {
        throw new GantryError('Unavailable', `process ${holder.pid} holds ${file}`, {
          details: [{ field: file, value: String(holder.pid), remedy: 'wait for it to end, or end it' }],
        })
      } else await delay(systemClock, INTERVAL)
    }
  } finally {
    await rm(mine, { force: true })
  }
}

/**
 * Removes the lock of a process that has died. Only who holds the lock on that very holding may, so that one who read
 * it long ago does not remove the lock of the process that came after.
 */
async function removeDead(file: string, dead: Holder, deadline: number): Promise<void> {
  const right = `${file}.${dead.pid}-${dead.startTime}-${dead.turn}`
  await take(right, deadline)
  try {
    const holder = await readHolder(file)
    if (holder !== undefined && JSON.stringify(holder) === JSON.stringify(dead)) await rm(file, { force: true })
  } finally {
    await rm(right, { force: true })
  }
}

/** Removes from a folder the lock files of processes that have died. */
export async function sweepLocks(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((entry) => entry.includes('.lock'))) {
    const file = join(folder, name)
    const [, waiting] = /\.lock\.(?:.*\.)?(\d+)-\d+$/.exec(name) ?? []
    if (waiting !== undefined) {
      if (identify(Number(waiting)) === undefined) await rm(file, { force: true })
      continue
    }
    const holder = await readHolder(file)
    if (holder !== undefined && !isAlive(holder)) await withLock(file, async () => undefined)
  }
}

/** The folder may go at any moment: the last rig's end removes it. */
async function writeInFolder(file: string, text: string): Promise<void> {
  for (;;) {
    try {
      return await writeFile(file, text, { mode: 0o600 })
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw GantryError.from(thrown)
      await mkdir(dirname(file), { recursive: true })
    }
  }
}

/** False if the lock is there, or the file to link is gone with its folder. */
async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (thrown) {
    if (['EEXIST', 'ENOENT'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return false
    throw GantryError.from(thrown)
  }
}

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Holder
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw GantryError.from(thrown)
  }
}
