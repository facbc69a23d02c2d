/**
 * The images of the node by reference: one file each in `index/`, named by the reference's digest; its time of change
 * is the time of last use.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Image } from './contract.ts'
import { UNFINISHED_PREFIX, writeDurably } from './durable-file.ts'
import type { ImageAccess } from './image-access.ts'

export interface ImageRecord {
  readonly image: Image
  /** What the reference stood for in the registry: an index, or the manifest itself. */
  readonly target: string
  /** Every blob the image needs: target, manifest, config, layers. */
  readonly blobs: readonly string[]
  /** Chain id of its topmost layer; '' without layers. */
  readonly chainId: string
  /**
   * Who has shown its registry that he may have it; undefined: nobody pulled it (or an agent did that did not note so
   * yet).
   */
  readonly access?: ImageAccess | undefined
}

export interface IndexedImage extends ImageRecord {
  /** Milliseconds since 1970. */
  readonly lastUsed: number
}

/** Uses within so long of each other are not told apart on disk. */
const LAST_USED_GRANULARITY_MS = 30_000

export class ImageIndex {
  readonly #folder: string
  readonly #clock: Clock
  readonly #log: Logger
  readonly #images = new Map<string, IndexedImage>()

  constructor(folder: string, clock: Clock, log: Logger) {
    this.#folder = folder
    this.#clock = clock
    this.#log = log
  }

  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name)
      const record = name.startsWith(UNFINISHED_PREFIX) ? undefined : parseRecord(await readFile(path, 'utf8'))
      if (record !== undefined)
        this.#images.set(record.image.reference, { ...record, lastUsed: (await stat(path)).mtimeMs })
      else {
        this.#log.warn({ path }, 'removing an unreadable image record')
        await rm(path, { force: true })
      }
    }
  }

  /** By normalised reference. */
  get(reference: string): IndexedImage | undefined {
    return this.#images.get(reference)
  }

  all(): readonly IndexedImage[] {
    return [...this.#images.values()]
  }

  async put(record: ImageRecord): Promise<void> {
    const now = this.#clock.now()
    const path = this.#path(record.image.reference)
    await writeDurably(path, JSON.stringify(record))
    await utimes(path, now / 1000, now / 1000)
    this.#images.set(record.image.reference, { ...record, lastUsed: now })
  }

  /** The image is used now. */
  async touch(reference: string): Promise<void> {
    const found = this.#images.get(reference)
    const now = this.#clock.now()
    if (found === undefined || now - found.lastUsed < LAST_USED_GRANULARITY_MS) return
    this.#images.set(reference, { ...found, lastUsed: now })
    await utimes(this.#path(reference), now / 1000, now / 1000)
  }

  async remove(reference: string): Promise<void> {
    this.#images.delete(reference)
    await rm(this.#path(reference), { force: true })
  }

  #path(reference: string): string {
    return join(this.#folder, `${createHash('sha256').update(reference).digest('hex')}.json`)
  }
}

/** Undefined for what is no record: a pull brings it again. */
function parseRecord(text: string): ImageRecord | undefined {
  try {
    const record = JSON.parse(text) as Partial<ImageRecord> | null
    return typeof record?.image?.reference === 'string' &&
      typeof record.chainId === 'string' &&
      Array.isArray(record.blobs)
      ? (record as ImageRecord)
      : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
