/**
 * Images in one tar archive: an OCI image layout
 * (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md), or what `docker save` writes. Read in
 * place: an entry is a part of the file. To a pull it is a registry that has just these images.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { posix } from 'node:path'
import { Readable } from 'node:stream'
import { GantryError } from '../../../proto/base/errors.ts'
import type { ImageSource } from '../puller.ts'
import { parseReference, type Reference } from '../reference.ts'
import type { BlobBody, FetchedManifest } from '../registry/client.ts'
import type { Repository } from '../registry/endpoint.ts'
import { ByteReader } from '../unpack/byte-reader.ts'
import { readable } from '../unpack/tar-entry.ts'
import { TarReader } from '../unpack/tar-reader.ts'
import type { ArchiveContents, ArchiveFiles, Part } from './archive-files.ts'
import { readDockerImages } from './docker-save.ts'
import { readLayoutImages } from './oci-layout.ts'

/** An image and what it is called. */
export interface NamedImage {
  readonly reference: Reference
  /** Of its manifest or index. */
  readonly digest: string
}

const MOST_ENTRIES = 100_000
const MOST_LINKS = 40
const LARGEST_MANIFEST = 4 << 20

export class ImageArchive implements ImageSource {
  readonly images: readonly NamedImage[]
  readonly #file: FileHandle
  readonly #path: string
  readonly #blobs: ArchiveContents['blobs']

  private constructor(file: FileHandle, path: string, images: readonly NamedImage[], blobs: ArchiveContents['blobs']) {
    this.#file = file
    this.#path = path
    this.images = images
    this.#blobs = blobs
  }

  /**
   * Reads what an uncompressed archive holds. `name` is what its only image is called, or the only one that the archive
   * has no name for. InvalidArgument, with the place in the archive and what to do, for one that holds no images or is
   * damaged.
   */
  static async open(path: string, name?: string): Promise<ImageArchive> {
    const file = await open(path, 'r')
    try {
      const files = await readEntries(path)
      const contents =
        files.find('oci-layout') !== undefined
          ? await readLayoutImages(files)
          : files.find('manifest.json') !== undefined
            ? await readDockerImages(files)
            : undefined
      if (contents === undefined)
        throw new GantryError(
          'InvalidArgument',
          'the archive holds no image: it has neither an "oci-layout" nor a "manifest.json"',
          {
            details: [
              { remedy: 'give what `docker save` or `skopeo copy … oci-archive:` writes, or an OCI image layout' },
            ],
          },
        )
      return new ImageArchive(file, path, named(contents, name), contents.blobs)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Of the file. */
  close(): Promise<void> {
    return this.#file.close()
  }

  async resolveTag(_repository: Repository, tagOrDigest: string): Promise<string> {
    return this.#digest(tagOrDigest)
  }

  async manifest(_repository: Repository, tagOrDigest: string): Promise<FetchedManifest> {
    const digest = this.#digest(tagOrDigest)
    const blob = this.#blob(digest)
    if (!Buffer.isBuffer(blob) && blob.size > LARGEST_MANIFEST)
      throw new GantryError(
        'InvalidArgument',
        `manifest ${digest} has ${blob.size} bytes, more than ${LARGEST_MANIFEST}`,
      )
    const bytes = Buffer.isBuffer(blob) ? blob : Buffer.alloc(blob.size)
    if (!Buffer.isBuffer(blob)) await this.#file.read(bytes, 0, blob.size, blob.offset)
    const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    if (found !== digest)
      throw new GantryError('InvalidArgument', `manifest ${digest} in the archive has digest ${found}`)
    return { digest, contentType: '', bytes }
  }

  async blob<T>(
    _repository: Repository,
    digest: string,
    _offset: () => Promise<number>,
    consume: (body: BlobBody) => Promise<T>,
  ): Promise<T> {
    const blob = this.#blob(digest)
    return consume({
      host: 'the archive',
      resumed: false,
      stream: Buffer.isBuffer(blob)
        ? Readable.from([blob])
        : createReadStream(this.#path, {
            start: blob.offset,
            end: blob.offset + blob.size - 1,
            highWaterMark: 256 << 10,
          }),
    })
  }

  /** Images are asked for by digest; a tag is one of `images`. */
  #digest(tagOrDigest: string): string {
    return tagOrDigest.includes(':')
      ? tagOrDigest
      : (this.images.find(({ reference }) => reference.tag === tagOrDigest)?.digest ?? tagOrDigest)
  }

  #blob(digest: string): Part | Buffer {
    const blob = this.#blobs.get(digest)
    if (blob === undefined)
      throw new GantryError('InvalidArgument', `the archive names the blob ${digest} and does not hold it`, {
        details: [
          {
            field: 'blob',
            value: digest,
            message: 'is missing',
            remedy: 'make the archive again, for this platform or for all',
          },
        ],
      })
    // A part of no bytes cannot be streamed by its first and last one.
    return !Buffer.isBuffer(blob) && blob.size === 0 ? Buffer.alloc(0) : blob
  }
}

function named({ images }: ArchiveContents, name: string | undefined): NamedImage[] {
  if (images.length === 0) throw new GantryError('InvalidArgument', 'the archive holds no image')
  const [digest, ...others] = new Set(images.map((image) => image.digest))
  if (name !== undefined && digest !== undefined && others.length === 0)
    return [{ reference: parseReference(name), digest }]
  const nameless = images.filter((image) => image.name === undefined)
  if (nameless.length > 0 && name === undefined)
    throw new GantryError(
      'InvalidArgument',
      `the archive does not say what the image ${nameless[0]!.digest} is called`,
      { details: [{ field: 'name', message: 'is missing', remedy: 'give a name: --name REPOSITORY:TAG' }] },
    )
  if (nameless.length === 0 && name !== undefined) {
    const remedy = 'leave --name out, or give an archive of one image'
    throw new GantryError('InvalidArgument', `the archive holds ${others.length + 1} images, each with a name`, {
      details: [{ field: 'name', value: name, remedy }],
    })
  }
  if (nameless.length > 1)
    throw new GantryError(
      'InvalidArgument',
      `the archive holds ${nameless.length} images without a name, and one name is given`,
    )
  return images.map((image) => ({ reference: parseReference(image.name ?? name!), digest: image.digest }))
}

async function readEntries(path: string): Promise<ArchiveFiles> {
  const parts = new Map<string, Part>()
  const links = new Map<string, string>()
  const reader = new ByteReader(createReadStream(path, { highWaterMark: 256 << 10 }))
  try {
    const tar = new TarReader(reader)
    let count = 0
    for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
      if (++count > MOST_ENTRIES)
        throw new GantryError('InvalidArgument', `the archive has more than ${MOST_ENTRIES} entries`)
      const at = normal(entry.path)
      if (entry.type === 'file') parts.set(at, { offset: reader.position, size: entry.size })
      else if (entry.type === 'symlink') links.set(at, normal(posix.join(posix.dirname(at), readable(entry.link))))
      else if (entry.type === 'hardlink') links.set(at, normal(entry.link))
    }
  } catch (error) {
    throw GantryError.is(error, 'InvalidArgument')
      ? new GantryError('InvalidArgument', `the archive ${error.message}`, { cause: error, details: error.details })
      : error
  } finally {
    await reader.close()
  }
  const find = (wanted: string): Part | undefined => {
    let at = wanted
    for (let followed = 0; followed <= MOST_LINKS; followed++) {
      const part = parts.get(at)
      const link = links.get(at)
      if (part !== undefined || link === undefined) return part
      at = link
    }
    return undefined
  }
  const stream = (part: Part): AsyncIterable<Buffer> =>
    part.size === 0
      ? chunk(Buffer.alloc(0))
      : createReadStream(path, { start: part.offset, end: part.offset + part.size - 1, highWaterMark: 256 << 10 })
  return {
    find,
    stream,
    paths: () => parts.keys(),
    async read(wanted, most) {
      const part = find(wanted)
      if (part === undefined)
        throw new GantryError('InvalidArgument', `the archive names the file "${wanted}" and does not hold it`)
      if (part.size > most)
        throw new GantryError(
          'InvalidArgument',
          `the archive's file "${wanted}" has ${part.size} bytes, more than ${most}`,
        )
      const chunks: Buffer[] = []
      for await (const piece of stream(part)) chunks.push(piece)
      return Buffer.concat(chunks)
    },
  }
}

function normal(path: string): string {
  return posix.normalize(readable(path)).replace(/^\/+/, '').replace(/\/$/, '')
}

async function* chunk(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
