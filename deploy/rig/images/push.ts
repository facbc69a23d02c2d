/**
 * Puts images into a rig's registry, where every node finds them whatever their pull policy is: those of an archive, an
 * OCI layout or the Docker engine here. https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
 */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { GantryError } from '../../../proto/base/errors.ts'
import { ImageArchive, type NamedImage } from '../../../agent/images/archive/image-archive.ts'
import {
  choosePlatform,
  formatPlatform,
  machinePlatform,
  parseManifest,
} from '../../../agent/images/registry/manifest.ts'
import type { Repository } from '../../../agent/images/registry/endpoint.ts'
import { decompressed } from '../../../agent/images/unpack/decompress.ts'
import { openImage } from './image-source.ts'
import type { LoadedImage } from './load.ts'
import { imageName, repositoryInRig } from './registry-names.ts'

export interface PushOptions {
  /** What the archive's only image is called, or its only one without a name: REPOSITORY:TAG. */
  readonly name?: string | undefined
  readonly signal: AbortSignal
}

/** Pushes what `image` names to the registry at host:port; what the registry has then. */
export async function pushImages(
  image: string,
  registry: string,
  { name, signal }: PushOptions,
): Promise<readonly LoadedImage[]> {
  const source = await openImage(image, signal)
  const folder = await mkdtemp(join(tmpdir(), 'gantry-push-'))
  try {
    const file = join(folder, 'image.tar')
    await spool(source.open(), source.says, file, signal)
    const archive = await ImageArchive.open(file, name)
    try {
      const pushed: LoadedImage[] = []
      for (const one of archive.images) pushed.push(await new Push(archive, one, registry, signal).run())
      return pushed
    } finally {
      await archive.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
    await source.close()
  }
}

async function spool(archive: Readable, says: string, file: string, signal: AbortSignal): Promise<void> {
  try {
    await pipeline(decompressed(archive, signal), createWriteStream(file), { signal })
  } catch (cause) {
    if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
    const damaged =
      ((cause as NodeJS.ErrnoException).code ?? '').startsWith('Z_') || GantryError.is(cause, 'InvalidArgument')
    throw damaged
      ? new GantryError('InvalidArgument', `${says} is damaged: ${(cause as Error).message}`, { cause })
      : GantryError.from(cause)
  }
}

/** One image on its way. */
class Push {
  readonly #archive: ImageArchive
  readonly #image: NamedImage
  /** To the archive, which asks nobody. */
  readonly #place: Repository
  readonly #registry: string
  readonly #repository: string
  readonly #signal: AbortSignal

  constructor(archive: ImageArchive, image: NamedImage, registry: string, signal: AbortSignal) {
    this.#archive = archive
    this.#image = image
    this.#place = { ...image.reference, credentials: [] }
    this.#registry = registry
    this.#repository = repositoryInRig(image.reference)
    this.#signal = signal
  }

  async run(): Promise<LoadedImage> {
    const { reference, digest } = this.#image
    const tag = reference.tag === '' ? 'latest' : reference.tag
    const pushed = await this.#manifest(digest, tag)
    return { reference: imageName(this.#repository, tag), digest: pushed }
  }

  /**
   * Pushes what the manifest names, then itself; its digest. Of an index whose images are not all in the archive, as
   * `docker save` writes it, the one for this machine goes.
   */
  async #manifest(digest: string, tag: string): Promise<string> {
    const { bytes } = await this.#archive.manifest(this.#place, digest)
    const manifest = parseManifest(bytes, '', digest)
    if (manifest.kind === 'index') {
      const whole = await Promise.allSettled(
        manifest.manifests.map((one) => this.#archive.manifest(this.#place, one.digest)),
      )
      if (whole.some(({ status }) => status === 'rejected')) return this.#manifest(this.#own(manifest, digest), tag)
      for (const one of manifest.manifests) await this.#manifest(one.digest, one.digest)
    } else {
      for (const blob of [manifest.config, ...manifest.layers]) await this.#blob(blob.digest, blob.size)
    }
    const type = (JSON.parse(bytes.toString()) as { mediaType?: string }).mediaType
    await this.#send('PUT', `/v2/${this.#repository}/manifests/${tag}`, [201], {
      body: bytes,
      headers: {
        'content-type': type ?? `application/vnd.oci.image.${manifest.kind === 'index' ? 'index' : 'manifest'}.v1+json`,
      },
    })
    return digest
  }

  #own(index: Parameters<typeof choosePlatform>[0], digest: string): string {
    const platform = machinePlatform(process.arch)
    const chosen = choosePlatform(index, platform)
    if (chosen !== undefined) return chosen.digest
    throw new GantryError('InvalidArgument', `the index ${digest} has no image for ${formatPlatform(platform)}`)
  }

  async #blob(digest: string, size: number): Promise<void> {
    if ((await this.#send('HEAD', `/v2/${this.#repository}/blobs/${digest}`, [200, 404])).status === 200) return
    const { headers } = await this.#send('POST', `/v2/${this.#repository}/blobs/uploads/`, [202])
    const location = new URL(headers.get('location') ?? '', `http://${this.#registry}/`)
    location.searchParams.set('digest', digest)
    // The registry may know itself by another address than this host does.
    await this.#archive.blob(
      this.#place,
      digest,
      () => Promise.resolve(0),
      ({ stream }) =>
        this.#send('PUT', `${location.pathname}${location.search}`, [201], {
          body: Readable.toWeb(stream),
          duplex: 'half',
          headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
        } as RequestInit),
    )
  }

  async #send(method: string, path: string, expected: readonly number[], init: RequestInit = {}): Promise<Response> {
    let response: Response
    try {
      response = await fetch(`http://${this.#registry}${path}`, { ...init, method, signal: this.#signal })
    } catch (cause) {
      if (this.#signal.aborted) throw GantryError.from(this.#signal.reason, 'Cancelled')
      throw new GantryError(
        'Unavailable',
        `${method} ${path} at the registry ${this.#registry}: ${String((cause as Error).cause ?? cause)}`,
        { cause },
      )
    }
    const text = await response.text()
    if (expected.includes(response.status)) return response
    throw new GantryError(
      'Unavailable',
      `the registry ${this.#registry} answers ${method} ${path} with ${response.status}: ${text.slice(0, 200)}`,
    )
  }
}
