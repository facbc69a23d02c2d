/** Bytes on disk below a directory. */
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { run } from '../../proto/base/command.ts'

/** Of stat(2): blocks are counted in this unit whatever the file system's own is. */
const BLOCK_BYTES = 512
/** Entries that are counted right here; beyond them du(1) counts. */
const MAX_INLINE_ENTRIES = 1000
/** Milliseconds for du(1). */
const DU_TIMEOUT_MS = 120_000
/** It could not look at everything: something disappeared meanwhile. */
const DU_EXIT_INCOMPLETE = 1

/** Links are not followed, files with several names counted once; what disappears while it looks counts nothing. */
export async function diskUsage(directory: string): Promise<number> {
  return (await countFew(directory)) ?? (await count(directory))
}

/** Undefined: there is more than that, or something that a path cannot lead to. */
async function countFew(directory: string): Promise<number | undefined> {
  const seen = new Set<number>()
  let bytes = 0
  let left = MAX_INLINE_ENTRIES
  const waiting = [directory]
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const place = folder
    const counted = await unlessGone(async () => {
      for await (const entry of await opendir(place)) {
        if (--left < 0) return false
        const path = join(place, entry.name)
        if (entry.isDirectory()) waiting.push(path)
        const looked = await unlessGone(async () => {
          const { ino, nlink, blocks } = await lstat(path)
          if (nlink > 1 && seen.has(ino)) return
          seen.add(ino)
          bytes += blocks * BLOCK_BYTES
        })
        if (looked === false) return false
      }
      return true
    })
    if (counted === false) return undefined
  }
  return bytes
}

/** However wide and deep it is, and whatever its names. */
async function count(directory: string): Promise<number> {
  const { stdout } = await run('du', ['--summarize', '--block-size=1', '--one-file-system', '--', directory], {
    allow: [0, DU_EXIT_INCOMPLETE],
    timeout: DU_TIMEOUT_MS,
  })
  return Number(stdout.split('\t')[0])
}

/** False where a path is too long; undefined where something is gone. */
async function unlessGone<T>(act: () => Promise<T>): Promise<T | false | undefined> {
  try {
    return await act()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENAMETOOLONG') return false
    const error = GantryError.from(thrown)
    if (error.code !== 'NotFound') throw error
    return undefined
  }
}
