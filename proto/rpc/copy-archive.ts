/**
 * The archive that `Pods.Copy` carries, for both of its ends: a tar archive (POSIX.1-2001 pax) whose first entry is
 * what is copied, called ".", and whose further entries are "./name", "./name/below". Neither end trusts the other:
 * names that lead elsewhere are refused here.
 */
import { extract, pack, type Header, type Pack } from 'tar-stream'
import { GantryError } from '../base/errors.ts'

/** Bytes in a message, and read from a file at a time. */
const BLOCK = 64 * 1024

export type EntryType = 'file' | 'directory' | 'symlink'

export interface ArchiveEntry {
  /** Below what is copied; none for itself. */
  readonly components: readonly string[]
  readonly type: EntryType
  /** Bytes. */
  readonly size: number
  /** Permission bits, 07777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: Date
  /** Of a symlink: where it leads, as written in it. */
  readonly target: string
}

export interface EntryFacts {
  readonly components: readonly string[]
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: Date
}

/** Writes an archive, no faster than `pieces` is iterated. One call at a time. */
export class ArchiveWriter {
  readonly #pack: Pack = pack()

  /** A directory, or a link to `target`. */
  add(facts: EntryFacts, type: 'directory' | 'symlink', target?: string): Promise<void> {
    return new Promise(
      (resolve, reject) =>
        void this.#pack.entry(
          { ...headerOf(facts), type, ...(target === undefined ? {} : { linkname: target }) },
          (error) => (error === null || error === undefined ? resolve() : reject(error)),
        ),
    )
  }

  /**
   * A file of exactly `size` bytes. `read` fills a buffer and answers with how many bytes it has; 0 at the file's end:
   * what is missing is made up of zeros. True if all was there.
   */
  async addFile(facts: EntryFacts, size: number, read: (buffer: Buffer) => Promise<number>): Promise<boolean> {
    const entry = this.#pack.entry({ ...headerOf(facts), type: 'file', size })
    const failed = new Promise<never>((_, reject) => entry.once('error', reject))
    failed.catch(() => undefined) // whoever waits below learns it
    let whole = true
    for (let left = size; left > 0;) {
      const buffer = Buffer.allocUnsafe(Math.min(BLOCK, left))
      const count = await read(buffer)
      if (count === 0) whole = false
      const chunk = count === 0 ? buffer.fill(0) : buffer.subarray(0, count)
      left -= chunk.length
      if (!entry.write(chunk))
        await Promise.race([failed, new Promise((resolve) => entry.once('drain', () => resolve(undefined)))])
    }
    const finished = new Promise<void>((resolve) => entry.once('finish', () => resolve()))
    entry.end(undefined)
    await Promise.race([failed, finished])
    return whole
  }

  finish(): void {
    this.#pack.finalize()
  }

  /** Ends `pieces` with this error. */
  fail(error: GantryError): void {
    this.#pack.destroy(error)
  }

  /** The archive, in messages' sizes. Left before its end, what is being written fails. */
  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    let held: Uint8Array[] = []
    let size = 0
    try {
      for await (const chunk of this.#pack as AsyncIterable<Uint8Array>) {
        held.push(chunk)
        size += chunk.length
        if (size < BLOCK) continue
        yield Buffer.concat(held)
        held = []
        size = 0
      }
      if (size > 0) yield Buffer.concat(held)
    } finally {
      this.#pack.destroy()
    }
  }
}

function headerOf({
  components,
  mode,
  uid,
  gid,
  mtime,
}: EntryFacts): Pick<Header, 'name' | 'mode' | 'uid' | 'gid' | 'mtime'> {
  return { name: ['.', ...components].join('/'), mode: mode & 0o7777, uid, gid, mtime }
}

/**
 * Hands out the entries of an archive one after the other; each one's content must be read to its end or left.
 * InvalidArgument for what is no archive or has names that lead out of it. What `pieces` throws is thrown; an archive
 * that ends in the middle is Unavailable.
 */
export async function readArchive(
  pieces: AsyncIterable<Uint8Array>,
  take: (entry: ArchiveEntry, content: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const reader = extract()
  let failure: unknown
  const feeding = feed(pieces, reader).catch((thrown: unknown) => {
    failure = thrown
    reader.destroy(GantryError.from(thrown))
  })
  try {
    for await (const entry of reader) {
      await take(checked(entry.header), entry as AsyncIterable<Uint8Array>)
      entry.resume()
    }
    await feeding
  } catch (thrown) {
    reader.destroy()
    await feeding
    throw archiveError(failure ?? thrown)
  }
  if (failure !== undefined) throw archiveError(failure)
}

async function feed(pieces: AsyncIterable<Uint8Array>, reader: ReturnType<typeof extract>): Promise<void> {
  for await (const piece of pieces) {
    if (reader.destroyed) return
    if (!reader.write(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength))) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          for (const event of ['drain', 'close', 'error']) reader.off(event, done)
          resolve()
        }
        for (const event of ['drain', 'close', 'error']) reader.on(event, done)
      })
    }
  }
  reader.end(undefined)
}

function archiveError(thrown: unknown): GantryError {
  if (thrown instanceof GantryError) return thrown
  if ((thrown as NodeJS.ErrnoException).code !== undefined) return GantryError.from(thrown)
  return new GantryError('InvalidArgument', `the archive is damaged: ${(thrown as Error).message}`, { cause: thrown })
}

function checked(header: Header): ArchiveEntry {
  const { name, type, size, mode, uid, gid, mtime, linkname } = header
  if (type !== 'file' && type !== 'directory' && type !== 'symlink')
    throw new GantryError('InvalidArgument', `the archive has "${name}", a ${type}, which is not copied`)
  return {
    components: componentsOf(name),
    type,
    size: type === 'file' ? size : 0,
    mode: mode & 0o7777,
    uid,
    gid,
    mtime,
    target: type === 'symlink' ? linkname : '',
  }
}

/** "./a/b" → a, b. Refuses whatever would lead out of the place copied to. */
function componentsOf(name: string): string[] {
  const [first, ...components] = name.replace(/\/+$/, '').split('/')
  const odd =
    first !== '.' ||
    components.some(
      (component) => component === '' || component === '.' || component === '..' || component.includes('\0'),
    )
  if (odd)
    throw new GantryError(
      'InvalidArgument',
      `the archive has the name ${JSON.stringify(name)}, which does not lie below the place copied to; it is refused`,
    )
  return components
}
