/** Bytes on disk below a directory. */
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/api/errors.ts'

/** Of stat(2): blocks are counted in this unit whatever the file system's own is. */
const BLOCK_BYTES = 512

/** Links are not followed, files with several names counted once; what disappears while it looks counts nothing. */
export async function diskUsage(directory: string): Promise<number> {
  const seen = new Set<number>()
  let bytes = 0
  const waiting = [directory]
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const place = folder
    await unlessGone(async () => {
      for await (const entry of await opendir(place)) {
        const path = join(place, entry.name)
        if (entry.isDirectory()) waiting.push(path)
        await unlessGone(async () => {
          const { ino, nlink, blocks } = await lstat(path)
          if (nlink > 1 && seen.has(ino)) return
          seen.add(ino)
          bytes += blocks * BLOCK_BYTES
        })
      }
    })
  }
  return bytes
}

async function unlessGone(act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (error.code !== 'NotFound') throw error
  }
}
