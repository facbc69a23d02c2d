/**
 * Blobs by digest. A blob is visible, as `blobs/sha256/<hex>`, only after its size and digest were verified and its
 * bytes were synced; what has come of an unfinished one stands in `ingests/<hex>`, from where it is continued, also by
 * a later start.
 */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { syncFolder } from '../durable-file.ts'
import { Leases } from '../leases.ts'
import { KeyedLock } from '../../../proto/base/semaphore.ts'
import { digestHex } from '../reference.ts'

export interface BlobName {
  readonly digest: string
  /** Bytes. */
  readonly size: number
}

/** An unfinished blob, as its download sees it. */
export interface Ingest {
  /** Bytes that are there: where the next body is to begin. */
  offset(): Promise<number>
  /**
   * Takes a body that continues the blob, or begins it again. Unavailable: it ended too early (what came is kept);
   * InvalidArgument: it is not the blob (nothing is kept); ResourceExhausted: the disk is full (nothing is kept).
   */
  write(body: {
    readonly host: string
    readonly resumed: boolean
    readonly stream: AsyncIterable<Buffer> | Readable
  }): Promise<void>
}

interface KnownBlob {
  readonly size: number
  /** Milliseconds since 1970. */
  readonly arrivedAt: number
}

/** Unfinished blobs that nobody continued for so long are removed. */
const INGEST_LIFETIME_MILLIS = 24 * 3_600_000

export class ContentStore {
  /** Digests that are not to be removed, here already or not. */
  readonly leases = new Leases()
  readonly #blobs: string
  readonly #ingests: string
  readonly #clock: Clock
  readonly #known = new Map<string, KnownBlob>()
  readonly #lock = new KeyedLock()

  constructor(root: string, clock: Clock) {
    this.#blobs = join(root, 'blobs', 'sha256')
    this.#ingests = join(root, 'ingests')
    this.#clock = clock
  }

  /** Reads what is there. */
  async start(): Promise<void> {
    await mkdir(this.#blobs, { recursive: true, mode: 0o700 })
    await mkdir(this.#ingests, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#blobs)) {
      const { size, mtimeMs } = await stat(join(this.#blobs, name))
      this.#known.set(`sha256:${name}`, { size, arrivedAt: mtimeMs })
    }
  }

  /** A verified blob's size in bytes; undefined if it is not here. */
  size(digest: string): number | undefined {
    return this.#known.get(digest)?.size
  }

  /** Where a blob's bytes stand. */
  path(digest: string): string {
    return join(this.#blobs, digestHex(digest))
  }

  /** A whole blob, for the small ones; undefined if it is not here, or is damaged, whereupon it is removed. */
  async read(digest: string): Promise<Buffer | undefined> {
    if (!this.#known.has(digest)) return undefined
    const bytes = await readFile(this.path(digest))
    if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` === digest) return bytes
    await this.remove(digest)
    return undefined
  }

  /** A blob's bytes as a stream. NotFound. */
  stream(digest: string): Readable {
    if (!this.#known.has(digest)) throw new GantryError('NotFound', `blob ${digest} is not on this node`)
    return createReadStream(this.path(digest), { highWaterMark: 256 << 10 })
  }

  /**
   * Gets a blob that is not here yet. `download` calls `write` until it succeeds; `arrived` is told the bytes there so
   * far. Calls for one digest wait for each other, and the later ones find it here.
   */
  ingest(blob: BlobName, download: (ingest: Ingest) => Promise<void>, arrived: (bytes: number) => void): Promise<void> {
    return this.#lock.run(blob.digest, async () => {
      if (this.#known.has(blob.digest)) return
      const path = join(this.#ingests, digestHex(blob.digest))
      const ingest = await OpenIngest.open(path, blob, arrived)
      try {
        if (!(await ingest.isWhole())) await download(ingest)
        await ingest.finish()
        await rename(path, this.path(blob.digest))
      } catch (error) {
        await ingest.abandon()
        throw error
      }
      await syncFolder(this.#blobs)
      this.#known.set(blob.digest, { size: blob.size, arrivedAt: this.#clock.now() })
    })
  }

  /** Takes bytes that are in memory already. */
  put(digest: string, bytes: Buffer): Promise<void> {
    const write = (ingest: Ingest): Promise<void> =>
      ingest.write({ host: 'memory', resumed: false, stream: oneChunk(bytes) })
    return this.ingest({ digest, size: bytes.length }, write, () => undefined)
  }

  /** Removes one blob, for instance because it turned out to be damaged. */
  remove(digest: string): Promise<void> {
    return this.#lock.run(digest, () => this.#unlink(digest))
  }

  /**
   * Removes every blob that is neither in `live` nor held and came more than `olderThanMillis` ago (a pull that failed
   * is to find again what it had), and unfinished ones that nobody has continued for a day.
   */
  async sweep(live: ReadonlySet<string>, olderThanMillis: number): Promise<void> {
    const dead = (digest: string): boolean => !live.has(digest) && !this.leases.has(digest)
    const arrivedBefore = this.#clock.now() - olderThanMillis
    for (const [digest] of [...this.#known].filter(
      ([digest, { arrivedAt }]) => dead(digest) && arrivedAt <= arrivedBefore,
    )) {
      await this.#lock.run(digest, async () => {
        if (dead(digest)) await this.#unlink(digest)
      })
    }
    for (const name of await readdir(this.#ingests)) {
      // One that is being continued is not left, and its end may be far off.
      if (this.#lock.isLocked(`sha256:${name}`)) continue
      await this.#lock.run(`sha256:${name}`, async () => {
        const path = join(this.#ingests, name)
        const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return undefined // it has become whole, or was given up
          throw error
        })
        if (found !== undefined && dead(`sha256:${name}`) && this.#clock.now() - found.mtimeMs > INGEST_LIFETIME_MILLIS)
          await rm(path, { force: true })
      })
    }
  }

  async #unlink(digest: string): Promise<void> {
    this.#known.delete(digest)
    await rm(this.path(digest), { force: true })
  }
}

class OpenIngest implements Ingest {
  readonly #path: string
  readonly #blob: BlobName
  readonly #file: FileHandle
  readonly #arrived: (bytes: number) => void
  #hash: Hash = createHash('sha256')
  #offset = 0

  private constructor(path: string, blob: BlobName, file: FileHandle, arrived: (bytes: number) => void) {
    this.#path = path
    this.#blob = blob
    this.#file = file
    this.#arrived = arrived
  }

  /** Continues what is there: its digest so far is computed again from the file. */
  static async open(path: string, blob: BlobName, arrived: (bytes: number) => void): Promise<OpenIngest> {
    const file = await open(path, 'a+', 0o600)
    const ingest = new OpenIngest(path, blob, file, arrived)
    try {
      if ((await file.stat()).size > blob.size) await file.truncate(0)
      const chunk = Buffer.allocUnsafe(256 << 10)
      for (;;) {
        const { bytesRead } = await file.read(chunk, 0, chunk.length, ingest.#offset)
        if (bytesRead === 0) break
        ingest.#take(chunk.subarray(0, bytesRead))
      }
    } catch (error) {
      await file.close()
      throw error
    }
    return ingest
  }

  offset(): Promise<number> {
    return Promise.resolve(this.#offset)
  }

  async write({ host, resumed, stream }: Parameters<Ingest['write']>[0]): Promise<void> {
    const { digest, size } = this.#blob
    if (!resumed) await this.#restart()
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (this.#offset + chunk.length > size) {
        await this.#restart()
        throw new GantryError(
          'InvalidArgument',
          `blob ${digest} as sent by ${host} is longer than the ${size} bytes that its manifest says`,
        )
      }
      await this.#append(chunk)
    }
    if (this.#offset < size)
      throw new GantryError('Unavailable', `blob ${digest} from ${host} ended after ${this.#offset} of ${size} bytes`)
    const found = this.#digest()
    if (found !== digest) {
      await this.#restart()
      throw new GantryError('InvalidArgument', `blob ${digest} as sent by ${host} has digest ${found}`)
    }
  }

  /**
   * Whether all bytes are there, as after a stop just before the blob became visible. Bytes that are not the blob's are
   * dropped.
   */
  async isWhole(): Promise<boolean> {
    if (this.#offset < this.#blob.size) return false
    if (this.#digest() === this.#blob.digest) return true
    await this.#restart()
    return false
  }

  /** Makes the bytes last. */
  async finish(): Promise<void> {
    if (this.#offset !== this.#blob.size)
      throw new GantryError('Internal', `blob ${this.#blob.digest} was not downloaded to its end`)
    await this.#file.datasync()
    await this.#file.close()
  }

  /** Closes it after a failure. What came is kept for the next try, if anything did. */
  async abandon(): Promise<void> {
    await this.#file.close()
    if (this.#offset === 0) await rm(this.#path, { force: true })
  }

  async #append(chunk: Buffer): Promise<void> {
    try {
      await this.#file.appendFile(chunk)
    } catch (thrown) {
      const error = GantryError.from(thrown)
      await this.#restart()
      throw error.code === 'ResourceExhausted'
        ? new GantryError(
            'ResourceExhausted',
            `no space left on disk for blob ${this.#blob.digest} (${this.#blob.size} bytes)`,
            { cause: thrown },
          )
        : error
    }
    this.#take(chunk)
  }

  #digest(): string {
    return `sha256:${this.#hash.copy().digest('hex')}`
  }

  #take(chunk: Buffer): void {
    this.#hash.update(chunk)
    this.#offset += chunk.length
    this.#arrived(this.#offset)
  }

  async #restart(): Promise<void> {
    if (this.#offset > 0) this.#arrived(0)
    this.#hash = createHash('sha256')
    this.#offset = 0
    await this.#file.truncate(0)
  }
}

async function* oneChunk(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes)
}
