/** A file or directory of a container as an archive, read no faster than the archive is taken. */
import { constants, type Stats } from 'node:fs'
import { open, opendir, readlink, type FileHandle } from 'node:fs/promises'
import { ArchiveWriter, type EntryFacts } from '../../../proto/rpc/copy-archive.ts'
import { procPath } from '../../volumes/safe-path.ts'
import { openEntry, errorAtPath, type ContainerFiles } from './container-files.ts'
import { READ, SEARCH } from './process-credentials.ts'
import { Warnings } from './warnings.ts'

/** Directories within each other: every one is held open, and the descriptors are the agent's. */
const DEEPEST = 255
/** Names as bytes; Node.js' types know of texts only. */
const RAW_NAMES = { encoding: 'buffer' as BufferEncoding }

export class Packer {
  readonly archive = new ArchiveWriter()
  files = 0
  bytes = 0
  /** What was left out, and why. */
  readonly warnings = new Warnings()
  readonly #files: ContainerFiles
  readonly #signal: AbortSignal

  constructor(files: ContainerFiles, signal: AbortSignal) {
    this.#files = files
    this.#signal = signal
  }

  /**
   * Writes all that `source` is; `path` is how it is called in warnings and errors. An error ends the archive; what
   * cannot be had below a directory is only left out.
   */
  async write(source: FileHandle, path: string): Promise<void> {
    try {
      await this.#write(source, [], path)
      this.archive.finish()
    } catch (thrown) {
      this.archive.fail(errorAtPath(thrown, path))
    }
  }

  async #write(handle: FileHandle, components: readonly string[], path: string): Promise<void> {
    this.#signal.throwIfAborted()
    const stat = await handle.stat()
    if (stat.isDirectory()) {
      this.#files.permit(stat, READ | SEARCH, path)
      await this.archive.add(facts(components, stat), 'directory')
      await this.#children(handle, components, path)
    } else if (stat.isFile()) {
      this.#files.permit(stat, READ, path)
      await this.#content(handle, components, stat, path)
    } else this.warnings.add(`${path} is neither a file nor a directory and was left out`)
  }

  async #children(directory: FileHandle, components: readonly string[], path: string): Promise<void> {
    if (components.length >= DEEPEST)
      return this.warnings.add(`${path} is nested deeper than ${DEEPEST} directories; what is in it was left out`)
    // An entry at a time: a container may have made millions.
    for await (const entry of await opendir(procPath(directory), RAW_NAMES)) {
      const raw = entry.name as unknown as Buffer
      const child = raw.toString()
      const below = `${path === '/' ? '' : path}/${child}`
      if (!Buffer.from(child).equals(raw)) {
        this.warnings.add(`${below}: its name is not UTF-8; it was left out`)
        continue
      }
      const handle = await openEntry(directory, child)
      if (handle === undefined) continue
      try {
        const stat = await handle.stat()
        if (stat.isSymbolicLink()) {
          await this.archive.add(
            facts([...components, child], stat),
            'symlink',
            await readlink(`${procPath(directory)}/${child}`),
          )
          this.files++
        } else await this.#write(handle, [...components, child], below)
      } catch (thrown) {
        const error = errorAtPath(thrown, below)
        if (this.#signal.aborted || error.code === 'Internal') throw error
        this.warnings.add(error.message)
      } finally {
        await handle.close()
      }
    }
  }

  /** Exactly as many bytes as the archive says of it, whatever becomes of the file meanwhile. */
  async #content(reference: FileHandle, components: readonly string[], stat: Stats, path: string): Promise<void> {
    const file = await open(procPath(reference), constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const whole = await this.archive.addFile(facts(components, stat), stat.size, async (buffer) => {
        this.#signal.throwIfAborted()
        return (await file.read(buffer, 0, buffer.length, null)).bytesRead
      })
      if (!whole) this.warnings.add(`${path} became shorter while it was read; the rest is zeros`)
      this.files++
      this.bytes += stat.size
    } finally {
      await file.close()
    }
  }
}

function facts(components: readonly string[], { mode, uid, gid, mtime }: Stats): EntryFacts {
  return { components, mode, uid, gid, mtime }
}
