/**
 * Puts an archive into a container's file tree. A file stands under its name only once it is whole; what is put there
 * belongs to whom it would if the container's user had unpacked it.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, chown, lchown, mkdir, open, rename, rm, symlink, type FileHandle } from 'node:fs/promises'
import { posix } from 'node:path'
import type { ArchiveEntry } from '../../../proto/rpc/copy-archive.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { procPath } from '../../volumes/safe-path.ts'
import { openEntry, errorAtPath, type ContainerFiles } from './container-files.ts'
import { WRITE } from './process-credentials.ts'
import { Warnings } from './warnings.ts'

const BLOCK = 64 * 1024
/** Permission bits that are left of those asked for where they are not to be preserved: the usual umask. */
const PLAIN = 0o755
const PERMISSIONS = 0o777

export class Unpacker {
  files = 0
  bytes = 0
  readonly warnings = new Warnings()
  readonly #files: ContainerFiles
  readonly #preserve: boolean
  /** Where what is copied goes. */
  readonly #place: string
  /** The directory that was used last: entries of one directory come together. */
  #parent: { readonly path: string; readonly handle: FileHandle } | undefined

  constructor(files: ContainerFiles, place: string, preserve: boolean) {
    this.#files = files
    this.#place = place
    this.#preserve = preserve
  }

  async take(entry: ArchiveEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    const path = posix.join(this.#place, ...entry.components)
    if (path === '/') {
      if (entry.type === 'directory') return
      throw new GantryError('InvalidArgument', '/ is a directory', { details: [{ field: 'path', value: path }] })
    }
    const name = posix.basename(path)
    try {
      const directory = await this.#open(posix.dirname(path))
      switch (entry.type) {
        case 'directory':
          return await this.#directory(directory, name, path, entry)
        case 'file':
          return await this.#file(directory, name, path, entry, content)
        case 'symlink':
          return await this.#link(directory, name, entry)
      }
    } catch (thrown) {
      throw errorAtPath(thrown, path)
    }
  }

  async close(): Promise<void> {
    await this.#parent?.handle.close()
    this.#parent = undefined
  }

  async #open(path: string): Promise<FileHandle> {
    if (this.#parent?.path === path) return this.#parent.handle
    await this.close()
    this.#parent = { path, handle: await this.#files.findDirectory(path) }
    return this.#parent.handle
  }

  /** One that is there stays as it is. */
  async #directory(parent: FileHandle, name: string, path: string, entry: ArchiveEntry): Promise<void> {
    const made = await mkdir(`${procPath(parent)}/${name}`, { mode: 0o700 }).then(
      () => true,
      (thrown: NodeJS.ErrnoException) => {
        if (thrown.code === 'EEXIST') return false
        throw thrown
      },
    )
    if (!made) return void (await (await this.#files.findDirectory(path)).close())
    const handle = await openEntry(parent, name)
    if (handle === undefined)
      throw new GantryError('Conflict', `${path} was removed by the container while it was made`)
    try {
      if (!(await handle.stat()).isDirectory())
        throw new GantryError('Conflict', `${path} was replaced by the container while it was made`)
      await this.#own(procPath(handle), entry)
    } finally {
      await handle.close()
    }
  }

  async #file(
    parent: FileHandle,
    name: string,
    path: string,
    entry: ArchiveEntry,
    content: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const directory = procPath(parent)
    const unfinished = `${directory}/${unfinishedName()}`
    const file = await open(
      unfinished,
      constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    )
    try {
      for await (const chunk of content) await file.writeFile(chunk)
      await this.#own(procPath(file), entry)
      await rename(unfinished, `${directory}/${name}`).catch((thrown: NodeJS.ErrnoException) => {
        // A mount of its own, as /etc/hosts is: only its content can be replaced.
        if (thrown.code === 'EBUSY') return this.#overwrite(file, parent, name, path)
        throw thrown
      })
      this.files++
      this.bytes += entry.size
    } finally {
      await file.close()
      await rm(unfinished, { force: true })
    }
  }

  /**
   * Only a regular file, and only where the container's user may: to open a FIFO would wait for its other end, and a
   * device is not to be written to.
   */
  async #overwrite(source: FileHandle, parent: FileHandle, name: string, path: string): Promise<void> {
    const found = await openEntry(parent, name)
    if (found === undefined)
      throw new GantryError('Conflict', `${path} was removed by the container while it was written`)
    try {
      const stat = await found.stat()
      if (!stat.isFile())
        throw new GantryError('InvalidArgument', `${path} is neither a file nor a directory`, {
          details: [{ field: 'path', value: path }],
        })
      this.#files.permit(stat, WRITE, path)
      const target = await open(procPath(found), constants.O_WRONLY | constants.O_TRUNC)
      try {
        await copyContent(source, target)
      } finally {
        await target.close()
      }
    } finally {
      await found.close()
    }
  }

  async #link(parent: FileHandle, name: string, entry: ArchiveEntry): Promise<void> {
    const directory = procPath(parent)
    const unfinished = `${directory}/${unfinishedName()}`
    await symlink(entry.target, unfinished)
    try {
      const { uid, gid } = this.#owner(entry)
      await lchown(unfinished, uid, gid)
      await rename(unfinished, `${directory}/${name}`)
      this.files++
    } finally {
      await rm(unfinished, { force: true })
    }
  }

  /** Through a descriptor: no name is looked up again that the container could have changed meanwhile. */
  async #own(held: string, entry: ArchiveEntry): Promise<void> {
    const { uid, gid } = this.#owner(entry)
    await chown(held, uid, gid)
    const bits = this.#preserve
      ? this.#files.identity.uid === 0
        ? entry.mode
        : entry.mode & PERMISSIONS
      : entry.mode & PLAIN
    await chmod(held, bits)
  }

  #owner({ uid, gid }: ArchiveEntry): { uid: number; gid: number } {
    const { identity } = this.#files
    return this.#preserve && identity.uid === 0 && identity.canChown
      ? { uid, gid }
      : { uid: identity.uid, gid: identity.gid }
  }
}

function unfinishedName(): string {
  return `.gantry-cp-${randomBytes(8).toString('hex')}`
}

async function copyContent(source: FileHandle, target: FileHandle): Promise<void> {
  const buffer = Buffer.allocUnsafe(BLOCK)
  for (let at = 0; ;) {
    const { bytesRead } = await source.read(buffer, 0, BLOCK, at)
    if (bytesRead === 0) return
    await target.writeFile(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
}
