/**
 * Brings images: resolves a reference to this platform's manifest, gets config and layers in parallel, unpacks them in
 * order as they come.
 *
 *     reference ─▶ manifest ─▶ config ─▶ layer 1 ═▶ unpack
 *                                     ├▶ layer 2 ══════▶ unpack        downloads overlap, at most 4 at once on the node
 *                                     └▶ layer 3 ═══▶ ·······▶ unpack
 */
import { createHash } from 'node:crypto'
import { GantryError } from '../../proto/base/errors.ts'
import type { Credential, PullProgress } from './contract.ts'
import type { ContentStore } from './content/content-store.ts'
import type { ImageRecord } from './image-index.ts'
import { Semaphore } from '../../proto/base/semaphore.ts'
import { formatReference, type Reference } from './reference.ts'
import type { RegistryClient } from './registry/client.ts'
import type { Repository } from './registry/endpoint.ts'
import {
  choosePlatform,
  formatPlatform,
  parseConfig,
  parseManifest,
  type OciImageConfig,
  type Descriptor,
  type Manifest,
  type Platform,
} from './registry/manifest.ts'
import { SingleFlight } from './single-flight.ts'
import type { Snapshotter } from './snapshots/contract.ts'
import { unpackLayer } from './unpack/layer.ts'
import { checkCompressedSize, DEFAULT_UNPACK_LIMITS, UnpackBudget, type UnpackLimits } from './unpack/unpack-budget.ts'

/** Where images come from: registries, or an archive of images. */
export type ImageSource = Pick<RegistryClient, 'resolveTag' | 'manifest' | 'blob'>

export interface PullerOptions {
  readonly client: ImageSource
  readonly content: ContentStore
  readonly snapshots: Snapshotter
  readonly platform: Platform
  /** Of each image (default: DEFAULT_UNPACK_LIMITS). */
  readonly limits?: UnpackLimits | undefined
}

export interface PullRequest {
  readonly reference: Reference
  readonly credentials: readonly Credential[]
  readonly signal: AbortSignal
  readonly progress: ((progress: PullProgress) => void) | undefined
}

/** A reference's manifest for this platform. */
interface Resolved {
  readonly target: string
  readonly digest: string
  readonly manifest: Extract<Manifest, { kind: 'image' }>
}

type Pulled = Pick<ImageRecord, 'chainId'> & { readonly config: OciImageConfig }
type Listener = (progress: Omit<PullProgress, 'reference'>) => void

const DOWNLOADS_AT_ONCE = 4
/** An index in an index in an index is a trick. */
const DEEPEST_INDEX = 3

export class Puller {
  readonly #options: PullerOptions
  readonly #resolving = new SingleFlight<Resolved>()
  readonly #pulling = new SingleFlight<Pulled>()
  readonly #downloading = new SingleFlight<void>()
  readonly #downloads = new Semaphore(DOWNLOADS_AT_ONCE)
  readonly #listeners = new Map<string, Set<Listener>>()

  constructor(options: PullerOptions) {
    this.#options = options
  }

  /** The digest that a reference stands for in its registry now. */
  async currentDigest({ reference, credentials, signal }: Omit<PullRequest, 'progress'>): Promise<string> {
    return this.#options.client.resolveTag(
      { ...reference, credentials },
      reference.digest === '' ? reference.tag : reference.digest,
      signal,
    )
  }

  /**
   * The image, whole and unpacked. Whoever asks for the same manifest at the same time shares the work, but each is let
   * in by the registry for himself. A known record, whose layers were lost, is made whole from the blobs that are here,
   * and from the registry only what is not.
   */
  async pull(request: PullRequest, known?: ImageRecord): Promise<ImageRecord> {
    const { reference, credentials, signal } = request
    const repository: Repository = { registry: reference.registry, repository: reference.repository, credentials }
    const text = formatReference(reference)
    const { target, digest, manifest } =
      (known && (await this.#known(known))) ??
      (await this.#resolving.run(JSON.stringify([text, credentials]), signal, (shared) =>
        this.#resolve(repository, reference, shared),
      ))
    const { config, chainId } = await this.#listening(digest, request, () =>
      this.#pulling.run(digest, signal, (shared) => this.#obtain(repository, text, digest, manifest, shared)),
    )
    const size = manifest.layers.reduce((sum, layer) => sum + layer.size, 0)
    return {
      image: { reference: text, digest, id: manifest.config.digest, size, config: config.image },
      target,
      chainId,
      blobs: [...new Set([target, digest, manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)])],
    }
  }

  /** Resolves when no pull is under way. */
  async idle(): Promise<void> {
    await Promise.all([this.#resolving.idle(), this.#pulling.idle(), this.#downloading.idle()])
  }

  async #known({ target, image: { digest } }: ImageRecord): Promise<Resolved | undefined> {
    const bytes = await this.#options.content.read(digest)
    if (bytes === undefined) return undefined
    const manifest = parseManifest(bytes, '', `manifest ${digest}`)
    return manifest.kind === 'image' ? { target, digest, manifest } : undefined
  }

  async #resolve(repository: Repository, reference: Reference, signal: AbortSignal): Promise<Resolved> {
    const name = formatReference(reference)
    let wanted = reference.digest === '' ? reference.tag : reference.digest
    let target: string | undefined
    for (let depth = 0; depth <= DEEPEST_INDEX; depth++) {
      const fetched = await this.#options.client.manifest(repository, wanted, signal)
      target ??= fetched.digest
      await this.#options.content.put(fetched.digest, fetched.bytes)
      const manifest = parseManifest(fetched.bytes, fetched.contentType, `manifest of ${name}`)
      if (manifest.kind === 'image') return { target, digest: fetched.digest, manifest }
      const chosen = choosePlatform(manifest, this.#options.platform)
      if (chosen === undefined) {
        const offered = manifest.manifests.flatMap(({ platform }) =>
          platform === undefined || platform.os === 'unknown' ? [] : [formatPlatform(platform)],
        )
        throw new GantryError(
          'FailedPrecondition',
          `${name} is not made for ${formatPlatform(this.#options.platform)}, only for ${[...new Set(offered)].join(', ') || 'no platform at all'}`,
        )
      }
      wanted = chosen.digest
    }
    throw new GantryError('InvalidArgument', `manifest of ${name} is more than ${DEEPEST_INDEX} indexes deep`)
  }

  async #obtain(
    repository: Repository,
    name: string,
    digest: string,
    manifest: Resolved['manifest'],
    signal: AbortSignal,
  ): Promise<Pulled> {
    const { content, snapshots, platform, limits = DEFAULT_UNPACK_LIMITS } = this.#options
    const budget = new UnpackBudget(limits)
    checkCompressedSize(
      name,
      manifest.layers.reduce((sum, layer) => sum + layer.size, 0),
      limits,
    )
    const releases = [
      content.leases.acquire([digest, manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)]),
    ]
    const stopping = new AbortController()
    const either = AbortSignal.any([signal, stopping.signal])
    const downloads: Promise<void>[] = []
    try {
      await this.#download(repository, manifest.config, either, () => undefined)
      const bytes = await content.read(manifest.config.digest)
      if (bytes === undefined)
        throw new GantryError('Unavailable', `config of ${name} was damaged on disk and is removed`)
      const config = parseConfig(bytes, `config of ${name}`)
      checkConfig(config, manifest, platform, name)
      const chain = chainIds(config.diffIds)
      releases.push(snapshots.leases.acquire(chain))
      const progress = new ProgressTracker(manifest.layers, (now) => this.#tell(digest, now))
      for (const [place, layer] of manifest.layers.entries()) {
        const needed = !snapshots.committed(chain[place]!)
        downloads.push(
          needed
            ? this.#downloads.run(
                () => this.#download(repository, layer, either, (bytes) => progress.arrived(place, bytes)),
                either,
              )
            : Promise.resolve(),
        )
      }
      // The first to fail ends the others, and they with its error; each is awaited below.
      for (const download of downloads) download.catch((error: unknown) => stopping.abort(GantryError.from(error)))
      for (const [place, layer] of manifest.layers.entries()) {
        await downloads[place]
        await snapshots.commit(chain[place]!, chain[place - 1] ?? '', async (directory, lower) => {
          // Committed when the pull began and swept since: its blob was not asked for.
          if (content.size(layer.digest) === undefined)
            await this.#download(repository, layer, either, (bytes) => progress.arrived(place, bytes))
          try {
            return await unpackLayer(
              { digest: layer.digest, diffId: config.diffIds[place]!, open: () => content.stream(layer.digest) },
              directory,
              lower,
              either,
              budget,
            )
          } catch (error) {
            // A blob that cannot be used is not kept: what was damaged on disk comes whole the next time.
            if (GantryError.is(error, 'InvalidArgument')) await content.remove(layer.digest)
            throw error
          }
        })
        progress.done(place)
      }
      return { config, chainId: chain.at(-1) ?? '' }
    } finally {
      stopping.abort()
      await Promise.allSettled(downloads)
      for (const release of releases) release()
    }
  }

  /** One blob, if it is not here: shared by every image that has it. */
  #download(
    repository: Repository,
    blob: Descriptor,
    signal: AbortSignal,
    arrived: (bytes: number) => void,
  ): Promise<void> {
    const { client, content } = this.#options
    if (content.size(blob.digest) !== undefined) return Promise.resolve()
    return this.#downloading.run(blob.digest, signal, (shared) =>
      content.ingest(
        blob,
        (ingest) =>
          client.blob(
            repository,
            blob.digest,
            () => ingest.offset(),
            (body) => ingest.write(body),
            shared,
          ),
        arrived,
      ),
    )
  }

  async #listening<T>(digest: string, { reference, progress }: PullRequest, work: () => Promise<T>): Promise<T> {
    if (progress === undefined) return work()
    const listeners = this.#listeners.get(digest) ?? new Set()
    this.#listeners.set(digest, listeners)
    const text = formatReference(reference)
    const listener: Listener = (now) => progress({ reference: text, ...now })
    listeners.add(listener)
    try {
      return await work()
    } finally {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listeners.delete(digest)
    }
  }

  #tell(digest: string, now: Omit<PullProgress, 'reference'>): void {
    for (const listener of this.#listeners.get(digest) ?? []) listener(now)
  }
}

/** Bytes and layers that have come; told when a layer is done or another hundredth of the bytes is there. */
class ProgressTracker {
  readonly #sizes: readonly number[]
  readonly #arrived: number[]
  readonly #tell: (now: Omit<PullProgress, 'reference'>) => void
  readonly #bytes: number
  #layersDone = 0
  #told = 0

  constructor(layers: readonly Descriptor[], tell: (now: Omit<PullProgress, 'reference'>) => void) {
    this.#sizes = layers.map((layer) => layer.size)
    this.#arrived = layers.map(() => 0)
    this.#bytes = this.#sizes.reduce((sum, size) => sum + size, 0)
    this.#tell = tell
    this.#send(0)
  }

  arrived(place: number, bytes: number): void {
    this.#arrived[place] = bytes
    const bytesDone = this.#arrived.reduce((sum, one) => sum + one, 0)
    if (bytesDone < this.#told || bytesDone - this.#told >= this.#bytes / 100) this.#send(bytesDone)
  }

  done(place: number): void {
    this.#arrived[place] = this.#sizes[place]!
    this.#layersDone++
    this.#send(this.#arrived.reduce((sum, one) => sum + one, 0))
  }

  #send(bytesDone: number): void {
    this.#told = bytesDone
    this.#tell({ layers: this.#sizes.length, layersDone: this.#layersDone, bytes: this.#bytes, bytesDone })
  }
}

/**
 * Chain ids of each layer with those below it.
 * https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid
 */
export function chainIds(diffIds: readonly string[]): readonly string[] {
  const chain: string[] = []
  for (const diffId of diffIds) {
    const below = chain.at(-1)
    chain.push(
      below === undefined ? diffId : `sha256:${createHash('sha256').update(`${below} ${diffId}`).digest('hex')}`,
    )
  }
  return chain
}

function checkConfig(config: OciImageConfig, manifest: Resolved['manifest'], platform: Platform, name: string): void {
  if (config.diffIds.length !== manifest.layers.length)
    throw new GantryError(
      'InvalidArgument',
      `config of ${name} names ${config.diffIds.length} layers, its manifest ${manifest.layers.length}`,
    )
  const { os, architecture } = config.platform
  if ((os !== '' && os !== platform.os) || (architecture !== '' && architecture !== platform.architecture)) {
    throw new GantryError(
      'FailedPrecondition',
      `${name} is made for ${formatPlatform(config.platform)}, not for ${formatPlatform(platform)}`,
    )
  }
}
