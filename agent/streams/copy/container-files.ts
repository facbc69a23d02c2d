/**
 * A running container's file tree, seen from outside: through /proc/PID/root, so with its volumes, and never out of it
 * whatever its links say.
 */
import { constants, type Stats } from 'node:fs'
import { open, readlink, type FileHandle } from 'node:fs/promises'
import { posix } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import { openWithin, procPath } from '../../volumes/safe-path.ts'
import { processCredentials, mayAccess, READ, SEARCH, WRITE, type ProcessCredentials } from './process-credentials.ts'

export class ContainerFiles {
  readonly identity: ProcessCredentials
  readonly #pid: number

  /** `pid`: a process of the container, whose user's rights count. FailedPrecondition: it has ended. */
  constructor(pid: number) {
    this.#pid = pid
    this.identity = processCredentials(pid)
  }

  /** In full: a relative one begins at the process's working directory. */
  async absolute(path: string): Promise<string> {
    return posix.normalize(path.startsWith('/') ? path : posix.join(await readlink(`/proc/${this.#pid}/cwd`), path))
  }

  /** For reference only, links followed; the caller closes it. NotFound, Forbidden. */
  async find(path: string): Promise<FileHandle> {
    try {
      return await openWithin(`/proc/${this.#pid}/root`, path, {
        absoluteLinks: 'root',
        aboveRoot: 'root',
        permit: (directory) => this.permit(directory, SEARCH, path),
      })
    } catch (thrown) {
      throw errorAtPath(thrown, path)
    }
  }

  /** The same; undefined if it is not there. */
  async findIfThere(path: string): Promise<FileHandle | undefined> {
    try {
      return await this.find(path)
    } catch (thrown) {
      if (GantryError.is(thrown, 'NotFound')) return undefined
      throw thrown
    }
  }

  /** A directory that the container's user may make things in. NotFound, InvalidArgument: it is none, Forbidden. */
  async findDirectory(path: string): Promise<FileHandle> {
    const handle = await this.find(path)
    try {
      const stat = await handle.stat()
      if (!stat.isDirectory())
        throw new GantryError('InvalidArgument', `${path} is not a directory`, {
          details: [{ field: 'path', value: path }],
        })
      this.permit(stat, WRITE | SEARCH, path)
      return handle
    } catch (thrown) {
      await handle.close()
      throw thrown
    }
  }

  /** Forbidden unless the container's user may. */
  permit(stat: Stats, wanted: number, path: string): void {
    if (mayAccess(this.identity, stat, wanted)) return
    const what =
      (wanted & WRITE) !== 0 ? 'write to' : (wanted & READ) !== 0 ? 'read' : 'enter a directory on the way to'
    throw new GantryError(
      'Forbidden',
      `permission denied: the container's user ${this.identity.uid} may not ${what} ${path}`,
      { details: [{ field: 'path', value: path }] },
    )
  }
}

/** Something in a directory held open, itself if it is a link; undefined if it is gone. */
export async function openEntry(directory: FileHandle, name: string): Promise<FileHandle | undefined> {
  try {
    return await open(`${procPath(directory)}/${name}`, 0o10000000 /* O_PATH */ | constants.O_NOFOLLOW)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw thrown
  }
}

/** An error of the file system in terms of the path that was meant, not of the descriptor that led there. */
export function errorAtPath(thrown: unknown, path: string): GantryError {
  const error = GantryError.from(thrown)
  const errno = ((thrown instanceof GantryError ? thrown.cause : thrown) as NodeJS.ErrnoException | undefined)?.code
  const says = errno === undefined ? undefined : ERRNO_MESSAGES[errno]
  if (says === undefined) return error
  return new GantryError(
    errno === 'ENOTDIR' || errno === 'EISDIR' ? 'InvalidArgument' : error.code,
    `${path}: ${says}`,
    { cause: thrown, details: [{ field: 'path', value: path }] },
  )
}

const ERRNO_MESSAGES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'a part of the path is not a directory',
  EISDIR: 'is a directory',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EDQUOT: 'the quota is exceeded',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'is a symbolic link',
  ENOTEMPTY: 'a directory that is not empty is in the way',
  EEXIST: 'is there already',
}
