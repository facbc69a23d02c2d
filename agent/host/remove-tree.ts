/** Removal of directories that containers have written to: however deep, wide or oddly named what is in them. */
import { opendir, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../proto/base/command.ts'

/** Entries and levels that are removed right here. Beyond them, or where something is in the way, rm(1) does it. */
const MAX_INLINE_ENTRIES = 256
const MAX_INLINE_DEPTH = 16
/** Milliseconds for rm(1): a volume may hold millions of files. */
const RM_TIMEOUT_MS = 600_000

/**
 * Removes a directory and all below it; not there: nothing happens. Links are not followed, and what is mounted in it
 * makes it fail (Internal). Node.js' own recursive removal reads every name into memory, takes the event loop for
 * seconds, and fails for paths longer than PATH_MAX and for names that are not UTF-8; so it is for small trees only
 * that no program is started.
 */
export async function removeTree(path: string): Promise<void> {
  if (await removeFew(path, { left: MAX_INLINE_ENTRIES }, MAX_INLINE_DEPTH)) return
  await run('rm', ['--recursive', '--force', '--one-file-system', '--', path], { timeout: RM_TIMEOUT_MS })
}

/** False: something is left, for whatever reason. */
async function removeFew(path: string, budget: { left: number }, levels: number): Promise<boolean> {
  try {
    for await (const entry of await opendir(path)) {
      if (--budget.left < 0 || levels === 0) return false
      const below = join(path, entry.name)
      if (!entry.isDirectory()) await unlink(below)
      else if (!(await removeFew(below, budget, levels - 1))) return false
    }
    await rmdir(path)
    return true
  } catch (thrown) {
    return (
      (thrown as NodeJS.ErrnoException).code === 'ENOENT' &&
      levels === MAX_INLINE_DEPTH &&
      budget.left === MAX_INLINE_ENTRIES
    )
  }
}
