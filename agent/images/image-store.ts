/** The image service of a node: see contract.ts. */
import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { SystemCalls, type SystemCaller } from '../host/system-calls.ts'
import { ImageArchive } from './archive/image-archive.ts'
import { ContentStore } from './content/content-store.ts'
import type { Image, ImageService, PullPolicy, RegistriesConfig } from './contract.ts'
import { credentialText, grantAccess, isAccessAllowed } from './image-access.ts'
import { ImageIndex, type ImageRecord, type IndexedImage } from './image-index.ts'
import { Puller, type PullRequest } from './puller.ts'
import { formatReference, isDigest, parseReference } from './reference.ts'
import { RegistryClient, type RegistryClientOptions } from './registry/client.ts'
import { machinePlatform, type Platform } from './registry/manifest.ts'
import { OverlaySnapshotter, type Base } from './snapshots/overlay.ts'
import { decompressed } from './unpack/decompress.ts'
import { isTooLarge, type UnpackLimits } from './unpack/unpack-budget.ts'

export interface ImageStoreOptions {
  /** Where everything is kept; one file system that can carry overlayfs. Made if missing. */
  readonly root: string
  readonly registries: RegistriesConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Default: this machine's. */
  readonly platform?: Platform
  readonly timeouts?: RegistryClientOptions['timeouts']
  /** How large an image may become (default: DEFAULT_UNPACK_LIMITS). */
  readonly limits?: UnpackLimits
  /** Who makes mounts (default: a process of its own). */
  readonly calls?: SystemCaller
  /** What every root file system shows, unless its image says otherwise (default: nothing). */
  readonly base?: Base
}

/** Blobs of a pull that failed are kept so long for the next try, unless the disk is full. */
const PARTIAL_PULL_TTL_MS = 3_600_000
/** An image that somebody asked for so recently may be about to be mounted: never collected. */
const RECENT_USE_GRACE_MS = 60_000

export class ImageStore implements ImageService {
  readonly #options: ImageStoreOptions
  readonly #index: ImageIndex
  readonly #content: ContentStore
  readonly #snapshots: OverlaySnapshotter
  readonly #client: RegistryClient
  readonly #puller: Puller
  /** Archives that are being loaded. */
  readonly #loads: string
  readonly #platform: Platform
  readonly #stopping = new AbortController()

  constructor(options: ImageStoreOptions) {
    const { root, clock, log, random, registries, timeouts, platform = machinePlatform(process.arch) } = options
    this.#options = options
    this.#platform = platform
    this.#loads = join(root, 'loads')
    this.#index = new ImageIndex(join(root, 'index'), clock, log)
    this.#content = new ContentStore(join(root, 'content'), clock)
    this.#snapshots = new OverlaySnapshotter(
      join(root, 'snapshots'),
      log,
      options.calls ?? new SystemCalls(clock),
      options.base,
    )
    this.#client = new RegistryClient({ registries, clock, random, ...(timeouts === undefined ? {} : { timeouts }) })
    this.#puller = new Puller({
      client: this.#client,
      content: this.#content,
      snapshots: this.#snapshots,
      platform,
      limits: options.limits,
    })
  }

  async start(): Promise<void> {
    await mkdir(this.#options.root, { recursive: true, mode: 0o700 })
    await rm(this.#loads, { recursive: true, force: true })
    await Promise.all([this.#index.start(), this.#content.start(), this.#snapshots.start()])
  }

  /** Pulls under way end with Cancelled; what they have is continued after the next start. Mounts stay. */
  async stop(): Promise<void> {
    this.#stopping.abort(new GantryError('Cancelled', 'the agent is stopping'))
    await this.#puller.idle()
    await this.#snapshots.stop()
    await this.#client.close()
  }

  async ensure(
    text: string,
    { policy, credentials, signal, progress }: Parameters<ImageService['ensure']>[1],
  ): Promise<Image> {
    const reference = parseReference(text)
    const name = formatReference(reference)
    const known = this.#find(name)
    const shown = (): string | undefined => credentialText({ ...reference, credentials }, this.#options.registries)
    const theirs = known !== undefined && isAccessAllowed(known.access, shown)
    if (policy !== 'Always' && theirs && this.#isWhole(known)) return this.#use(known, name)
    if (policy === 'Never' && known === undefined)
      throw new GantryError('FailedPrecondition', `image ${name} is not on this node, and its pull policy is Never`)
    const request: PullRequest = {
      reference,
      credentials,
      signal: AbortSignal.any([signal, this.#stopping.signal]),
      progress,
    }
    if (known !== undefined && this.#isWhole(known)) {
      const current =
        policy === 'Always'
          ? await this.#puller.currentDigest(request)
          : await this.#verifyAccess(known, request, policy)
      if (current === known.target || current === known.image.digest)
        return this.#use(granted(known, shown(), known), name)
    }
    for (;;) {
      // What is here is no proof that it may be had.
      const record = granted(
        await this.#pull(request, policy === 'Always' || !theirs ? undefined : known),
        shown(),
        this.#index.get(name),
      )
      await this.#index.put(record)
      // A collection between the pull and its record may have taken something: then once more.
      if (this.#isWhole(record)) return record.image
    }
  }

  async load(
    archive: AsyncIterable<Uint8Array>,
    { name, signal }: Parameters<ImageService['load']>[1],
  ): Promise<readonly Image[]> {
    const either = AbortSignal.any([signal, this.#stopping.signal])
    const path = join(this.#loads, randomBytes(8).toString('hex'))
    await mkdir(this.#loads, { recursive: true, mode: 0o700 })
    try {
      await spool(archive, path, either)
      const source = await ImageArchive.open(path, name)
      try {
        const puller = new Puller({
          client: source,
          content: this.#content,
          snapshots: this.#snapshots,
          platform: this.#platform,
          limits: this.#options.limits,
        })
        for (;;) {
          const records: ImageRecord[] = []
          for (const { reference, digest } of source.images) {
            const record = await puller.pull({
              reference: { ...reference, digest },
              credentials: [],
              signal: either,
              progress: undefined,
            })
            records.push({ ...record, image: { ...record.image, reference: formatReference(reference) } })
          }
          for (const record of records) await this.#index.put(record)
          // As in `ensure`: a collection may have come in between.
          if (records.every((record) => this.#isWhole(record))) return records.map(({ image }) => image)
        }
      } finally {
        await source.close()
      }
    } finally {
      await rm(path, { force: true })
    }
  }

  async find(reference: string): Promise<Image | undefined> {
    const digest = /^[0-9a-f]{64}$/.test(reference) ? `sha256:${reference}` : reference
    const found = isDigest(digest)
      ? this.#index
          .all()
          .find(({ image, target }) => image.id === digest || image.digest === digest || target === digest)
      : this.#find(formatReference(parseReference(reference)))
    return found?.image
  }

  list(): Promise<readonly Image[]> {
    return Promise.resolve(this.#index.all().map(({ image }) => image))
  }

  async mountRootfs(key: string, image: Image): Promise<{ readonly path: string }> {
    const record = this.#index.all().find((one) => one.image.digest === image.digest)
    const chainId = record?.chainId ?? this.#snapshots.active().get(key)
    if (chainId === undefined)
      throw new GantryError('NotFound', `image ${image.reference} (${image.digest}) is not on this node any more`)
    return this.#snapshots.mount(key, chainId)
  }

  removeRootfs(key: string): Promise<void> {
    return this.#snapshots.remove(key)
  }

  listRootfs(): Promise<readonly string[]> {
    return Promise.resolve([...this.#snapshots.active().keys()])
  }

  async collect({
    inUse,
    olderThanMillis,
    highPercent,
    lowPercent,
  }: Parameters<ImageService['collect']>[0]): Promise<readonly Image[]> {
    const { clock, log } = this.#options
    const removed: Image[] = []
    const unused = (minimumAge: number): readonly IndexedImage[] => {
      const mounted = new Set(this.#snapshots.active().values())
      return this.#index
        .all()
        .filter(
          ({ image, chainId, lastUsed }) =>
            !inUse.has(image.digest) && !mounted.has(chainId) && clock.now() - lastUsed > minimumAge,
        )
        .sort((a, b) => a.lastUsed - b.lastUsed)
    }
    const remove = async ({ image }: IndexedImage): Promise<void> => {
      await this.#index.remove(image.reference)
      removed.push(image)
      log.info({ image: image.reference, digest: image.digest }, 'image removed')
    }
    for (const image of unused(Math.max(olderThanMillis, RECENT_USE_GRACE_MS))) await remove(image)
    await this.#sweep(Math.min(olderThanMillis, PARTIAL_PULL_TTL_MS))
    if ((await this.#usedPercent()) <= highPercent) return removed
    await this.#sweep(0)
    while ((await this.#usedPercent()) > lowPercent) {
      const oldest = unused(RECENT_USE_GRACE_MS)[0]
      if (oldest === undefined) {
        log.warn(
          { usedPercent: await this.#usedPercent(), lowPercent },
          'no unused image is left to remove, yet the disk is full',
        )
        break
      }
      await remove(oldest)
      await this.#sweep(0)
    }
    return removed
  }

  /** By normalised reference; one by digest also under another name. */
  #find(name: string): IndexedImage | undefined {
    const { registry, repository, digest } = parseReference(name)
    return (
      this.#index.get(name) ??
      (digest === ''
        ? undefined
        : this.#index.all().find(({ image, target }) => {
            const other = parseReference(image.reference)
            return (
              (target === digest || image.digest === digest) &&
              other.registry === registry &&
              other.repository === repository
            )
          }))
    )
  }

  /**
   * Has the registry say whether an image that is here may be used by somebody who has not pulled it: its digest if so,
   * undefined if the registry has it no more. Errors: those of the registry, with what they are about.
   */
  async #verifyAccess(
    known: IndexedImage,
    { reference, credentials, signal }: PullRequest,
    policy: PullPolicy,
  ): Promise<string | undefined> {
    try {
      await this.#puller.currentDigest({ reference: { ...reference, digest: known.target }, credentials, signal })
      return known.target
    } catch (thrown) {
      const error = GantryError.from(thrown)
      if (error.code === 'NotFound' && policy !== 'Never') return undefined
      throw new GantryError(
        error.code,
        `image ${known.image.reference} is on this node, pulled with credentials that this pod does not have: ${error.message}`,
        { cause: error, details: error.details },
      )
    }
  }

  async #use({ lastUsed: _, ...record }: IndexedImage, name: string): Promise<Image> {
    if (record.image.reference === name && this.#index.get(name)?.access === record.access)
      await this.#index.touch(name)
    else await this.#index.put({ ...record, image: { ...record.image, reference: name } })
    return this.#index.get(name)?.image ?? record.image
  }

  /** Of an image that is too large nothing is kept for another try: it would be as large then. */
  async #pull(request: PullRequest, known: ImageRecord | undefined): Promise<ImageRecord> {
    try {
      return await this.#puller.pull(request, known)
    } catch (thrown) {
      const error = GantryError.from(thrown)
      if (isTooLarge(error)) await this.#sweep(0)
      throw error
    }
  }

  /** Whether it can be mounted. Layers that a power loss took are unpacked again. */
  #isWhole(record: ImageRecord): boolean {
    return this.#snapshots.committed(record.chainId)
  }

  async #sweep(olderThanMillis: number): Promise<void> {
    const images = this.#index.all()
    await this.#snapshots.sweep(new Set(images.map(({ chainId }) => chainId)))
    await this.#content.sweep(new Set(images.flatMap(({ blobs }) => blobs)), olderThanMillis)
  }

  /** Of the file system, as df counts it. */
  async #usedPercent(): Promise<number> {
    const { blocks, bfree, bavail } = await statfs(this.#options.root)
    const used = blocks - bfree
    return (100 * used) / Math.max(1, used + bavail)
  }
}

/**
 * The record of an image that its registry has just given to whoever shows this. `before`: what was known under the
 * same reference.
 */
function granted<T extends ImageRecord>(record: T, shown: string | undefined, before: ImageRecord | undefined): T {
  const same = before?.image.digest === record.image.digest
  if (same && isAccessAllowed(before.access, () => shown)) return { ...record, access: before.access }
  return { ...record, access: grantAccess(same ? before.access : undefined, shown) }
}

/** Writes an archive to a file, uncompressed. */
async function spool(archive: AsyncIterable<Uint8Array>, path: string, signal: AbortSignal): Promise<void> {
  try {
    await pipeline(decompressed(buffers(archive), signal), createWriteStream(path, { flags: 'wx', mode: 0o600 }), {
      signal,
    })
  } catch (error) {
    if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (code === 'ENOSPC')
      throw new GantryError('ResourceExhausted', 'the disk is full: the archive could not be written down', {
        cause: error,
      })
    if (code.startsWith('Z_'))
      throw new GantryError('InvalidArgument', `the archive is damaged: ${(error as Error).message}`, { cause: error })
    throw GantryError.is(error, 'InvalidArgument')
      ? new GantryError('InvalidArgument', `the archive ${error.message}`, { cause: error })
      : error
  }
}

async function* buffers(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of archive)
    if (chunk.length > 0) yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
}
