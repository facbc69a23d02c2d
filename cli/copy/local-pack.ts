/** A file or directory of this machine as an archive, read no faster than the archive is taken. */
import { open, lstat, readdir, readlink, stat as statOf } from 'node:fs/promises'
import type { Stats } from 'node:fs'
import { join } from 'node:path'
import { ArchiveWriter } from '../../proto/rpc/copy-archive.ts'
import { GantryError } from '../../proto/base/errors.ts'

export class LocalPacker {
  readonly archive = new ArchiveWriter()
  /** What was left out, and why. */
  readonly warnings: string[] = []

  /** All that is at the path; a link itself is followed, those below are copied as links. An error ends the archive. */
  async write(path: string): Promise<void> {
    try {
      await this.#write(
        path,
        [],
        await statOf(path).catch((thrown: unknown) => {
          if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
          throw new GantryError('NotFound', `${path}: no such file or directory on this machine`)
        }),
      )
      this.archive.finish()
    } catch (thrown) {
      this.archive.fail(GantryError.from(thrown))
    }
  }

  async #write(path: string, components: readonly string[], stat: Stats): Promise<void> {
    const facts = { components, mode: stat.mode, uid: stat.uid, gid: stat.gid, mtime: stat.mtime }
    if (stat.isSymbolicLink()) return this.archive.add(facts, 'symlink', await readlink(path))
    if (stat.isDirectory()) {
      await this.archive.add(facts, 'directory')
      for (const name of (await readdir(path)).sort())
        await this.#write(join(path, name), [...components, name], await lstat(join(path, name)))
      return
    }
    if (!stat.isFile()) {
      if (components.length === 0) throw new GantryError('InvalidArgument', `${path} is neither a file nor a directory`)
      this.warnings.push(`${path} is neither a file nor a directory and was left out`)
      return
    }
    const file = await open(path, 'r')
    try {
      const whole = await this.archive.addFile(
        facts,
        stat.size,
        async (buffer) => (await file.read(buffer, 0, buffer.length, null)).bytesRead,
      )
      if (!whole) this.warnings.push(`${path} became shorter while it was read; the rest is zeros`)
    } finally {
      await file.close()
    }
  }
}
