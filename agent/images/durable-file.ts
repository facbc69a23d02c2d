/** Small files that are whole or absent, whenever the machine stops. */
import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Names of unfinished files begin so; a reader of the folder passes over them and a start removes them. */
export const UNFINISHED_PREFIX = '.unfinished-'

/** Writes beside the path, syncs, renames, syncs the folder. On a failure the old file stands. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const unfinished = join(dirname(path), `${UNFINISHED_PREFIX}${basename(path)}-${randomBytes(4).toString('hex')}`)
  try {
    const file = await open(unfinished, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Makes renames and removals in a folder last (fsync(2) of a directory). */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
