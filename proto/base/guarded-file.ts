/**
 * Files that make a program trust what they hold, such as compiled code: they are only read where nobody but the user
 * that runs it, root and, where that is said, the owner of the program itself can have written them.
 */
import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readFileSync, renameSync } from 'node:fs'
import { rmSync, statSync, writeFileSync, type Stats } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'

const { O_NOFOLLOW, O_RDONLY } = constants
/** Writable by the owner's group, or by everybody. */
const OTHERS_WRITE = 0o022

/** `owner`: one more user who may have written it. */
export interface Guard {
  readonly owner?: number | undefined
  /** Others may read it. */
  readonly isPublic?: boolean
}

/** What the file holds; undefined if there is none, it cannot be read, or another user could have written it. */
export function readGuarded(path: string, guard: Guard = {}): Buffer | undefined {
  let descriptor: number | undefined
  try {
    if (!isGuarded(lstatSync(dirname(path)), guard)) return undefined
    descriptor = openSync(path, O_RDONLY | O_NOFOLLOW)
    const stats = fstatSync(descriptor)
    return stats.isFile() && isGuarded(stats, guard) ? readFileSync(descriptor) : undefined
  } catch {
    return undefined
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/**
 * Writes the file whole or not at all, its folder with it, also while others read or write it. The reason for which it
 * could not be; undefined if it was.
 */
export function writeGuarded(path: string, content: string | Uint8Array, guard: Guard = {}): Error | undefined {
  const { isPublic = false } = guard
  const aside = `${path}.${process.pid}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: isPublic ? 0o755 : 0o700 })
    if (!isGuarded(lstatSync(dirname(path)), guard)) return new Error(`others may write to ${dirname(path)}`)
    // On the disk before it has its name: after a loss of power a name without its content would be worse than none.
    writeFileSync(aside, content, { flag: 'wx', mode: isPublic ? 0o644 : 0o600, flush: true })
    renameSync(aside, path)
    return undefined
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') removeQuietly(aside)
    return thrown as Error
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // A file system that takes nothing: there is nothing to remove.
  }
}

function isGuarded({ uid, mode }: Stats, { owner }: Guard): boolean {
  const user = process.geteuid?.()
  return user !== undefined && (uid === user || uid === 0 || uid === owner) && (mode & OTHERS_WRITE) === 0
}

/**
 * The folder for what this user's programs keep to be quicker; undefined where there is none that is the user's own, as
 * for root with the home of another user. https://specifications.freedesktop.org/basedir-spec/latest/
 */
export function userCacheFolder({ XDG_CACHE_HOME = '', HOME = '' }: NodeJS.ProcessEnv): string | undefined {
  const base = isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : HOME
  try {
    if (!isAbsolute(base) || statSync(base).uid !== process.geteuid?.()) return undefined
  } catch {
    return undefined
  }
  return base === HOME ? join(HOME, '.cache/gantry') : join(base, 'gantry')
}
