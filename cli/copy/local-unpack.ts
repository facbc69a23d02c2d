/**
 * Puts an archive from a container onto this machine. What it says is not trusted: names that lead out of the place are
 * refused (proto/rpc/copy-archive.ts), nothing is written through a link, and links are made last, those only that stay
 * within the place. A file stands under its name only once it is whole.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, lstat, mkdir, open, rename, rm, stat, symlink } from 'node:fs/promises'
import { basename, dirname, join, posix } from 'node:path'
import type { ArchiveEntry } from '../../proto/rpc/copy-archive.ts'
import { GantryError } from '../../proto/base/errors.ts'

const PERMISSIONS = 0o777
/** While its content comes, a directory of whatever permissions must be open to us. */
const OWNER = 0o700

export class LocalUnpacker {
  /** What was left out, and why. */
  readonly warnings: string[] = []
  readonly #asked: string
  readonly #name: string
  readonly #preserve: boolean
  readonly #links: { readonly components: readonly string[]; readonly target: string }[] = []
  readonly #directories: { readonly path: string; readonly mode: number }[] = []
  #place = ''

  /** A directory is put to `place` itself; a file under `name` into it if that is a directory, else to it. */
  constructor(place: string, name: string, preserve: boolean) {
    this.#asked = place
    this.#name = name
    this.#preserve = preserve
  }

  async take(entry: ArchiveEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    const { components, type } = entry
    if (components.length === 0) return this.#begin(entry, content)
    if (this.#place === '') throw new GantryError('InvalidArgument', 'the archive does not begin with what is copied')
    if (type === 'symlink') return void this.#links.push({ components, target: entry.target })
    const path = await this.#inside(components)
    if (type === 'directory') await this.#directory(path, entry.mode)
    else await this.#file(path, entry, content)
  }

  /** When all is there. */
  async finish(): Promise<void> {
    for (const { components, target } of this.#links) await this.#link(components, target)
    // From the inside out: a directory that is closed now may hold others.
    for (const { path, mode } of this.#directories.reverse()) await chmod(path, mode)
  }

  async #begin(entry: ArchiveEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.#place !== '') throw new GantryError('InvalidArgument', 'the archive has two beginnings')
    const there = await statIfThere(this.#asked)
    switch (entry.type) {
      case 'directory':
        if (there !== undefined && !there.isDirectory())
          throw new GantryError('AlreadyExists', `${this.#asked} is there already and is not a directory`)
        await mkdir(this.#asked, { recursive: true })
        this.#place = this.#asked
        return
      case 'file':
        this.#place = there?.isDirectory() === true ? join(this.#asked, this.#name) : this.#asked
        return this.#file(this.#place, entry, content)
      case 'symlink':
        throw new GantryError('InvalidArgument', 'the archive is only a link')
    }
  }

  /** The path below the place, each directory on the way being one, and no link. */
  async #inside(components: readonly string[]): Promise<string> {
    let path = this.#place
    for (const component of components.slice(0, -1)) {
      path = join(path, component)
      const there = await lstat(path)
      if (there.isSymbolicLink())
        throw new GantryError('Forbidden', `${path} is a link, and nothing is written through it`, {
          details: [{ remedy: 'remove it, or copy to another place' }],
        })
    }
    return join(path, components.at(-1)!)
  }

  async #directory(path: string, mode: number): Promise<void> {
    const there = await lstatIfThere(path)
    if (there?.isSymbolicLink() === true)
      throw new GantryError('Forbidden', `${path} is a link, and nothing is written through it`, {
        details: [{ remedy: 'remove it, or copy to another place' }],
      })
    if (there !== undefined) {
      if (!there.isDirectory())
        throw new GantryError('AlreadyExists', `${path} is there already and is not a directory`)
      return
    }
    await mkdir(path, this.#preserve ? { mode: (mode & PERMISSIONS) | OWNER } : {})
    if (this.#preserve && (mode & OWNER) !== OWNER) this.#directories.push({ path, mode: mode & PERMISSIONS })
  }

  async #file(path: string, entry: ArchiveEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    const unfinished = join(dirname(path), `.${basename(path).slice(0, 100)}.${randomBytes(6).toString('hex')}.part`)
    try {
      const file = await open(
        unfinished,
        constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
        this.#preserve ? (entry.mode & PERMISSIONS) | 0o200 : 0o666,
      )
      try {
        for await (const chunk of content) await file.writeFile(chunk)
        if (this.#preserve) await file.chmod(entry.mode & PERMISSIONS)
      } finally {
        await file.close()
      }
      await rename(unfinished, path)
    } finally {
      await rm(unfinished, { force: true })
    }
  }

  async #link(components: readonly string[], target: string): Promise<void> {
    const path = await this.#inside(components)
    const leads = posix.normalize(posix.join(...components.slice(0, -1), target))
    if (target.startsWith('/') || leads === '..' || leads.startsWith('../')) {
      this.warnings.push(`skipped the link ${path} -> ${target}: it leads out of what is copied`)
      return
    }
    const there = await lstatIfThere(path)
    if (there?.isDirectory() === true)
      throw new GantryError('AlreadyExists', `${path} is there already and is a directory`)
    await rm(path, { force: true })
    await symlink(target, path)
  }
}

function statIfThere(path: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  return stat(path).catch(orMissing)
}

function lstatIfThere(path: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  return lstat(path).catch(orMissing)
}

function orMissing(thrown: NodeJS.ErrnoException): undefined {
  if (thrown.code === 'ENOENT') return undefined
  throw GantryError.from(thrown)
}
