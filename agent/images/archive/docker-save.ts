/**
 * Images of an archive as `docker save` wrote it before it had an OCI layout in it: manifest.json lists, for each, its
 * config, its layers and its names. There is no manifest as registries have it; one is made here, always the same for
 * the same archive.
 */
import { createHash } from 'node:crypto'
import { GantryError } from '../../../proto/base/errors.ts'
import { OCI_MANIFEST } from '../registry/manifest.ts'
import type { ArchiveFiles, ArchiveContents, Part } from './archive-files.ts'

const LARGEST_LIST = 4 << 20
const LARGEST_CONFIG = 8 << 20
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'

interface Entry {
  readonly config: string
  readonly layers: readonly string[]
  readonly names: readonly string[]
}

export async function readDockerImages(files: ArchiveFiles): Promise<ArchiveContents> {
  const entries = parseList(await files.read('manifest.json', LARGEST_LIST))
  const blobs = new Map<string, Part | Buffer>()
  const images: { name: string | undefined; digest: string }[] = []
  /** Images often share layers: each file is read once. */
  const digests = new Map<string, string>()
  const layer = async (path: string): Promise<{ mediaType: string; digest: string; size: number }> => {
    const part = files.find(path)
    if (part === undefined)
      throw new GantryError(
        'InvalidArgument',
        `the archive's manifest.json names the layer "${path}", and the archive does not hold it`,
      )
    const known = digests.get(path) ?? (await digestOf(files.stream(part)))
    digests.set(path, known)
    blobs.set(known, part)
    return { mediaType: LAYER_TYPE, digest: known, size: part.size }
  }
  for (const { config, layers, names } of entries) {
    const bytes = await files.read(config, LARGEST_CONFIG)
    const configDigest = digest(bytes)
    blobs.set(configDigest, bytes)
    const described = []
    for (const path of layers) described.push(await layer(path))
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: { mediaType: CONFIG_TYPE, digest: configDigest, size: bytes.length },
        layers: described,
      }),
    )
    blobs.set(digest(manifest), manifest)
    for (const name of names.length === 0 ? [undefined] : names) images.push({ name, digest: digest(manifest) })
  }
  return { images, blobs }
}

function parseList(bytes: Buffer): Entry[] {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new GantryError('InvalidArgument', `manifest.json of the archive ${reason}`, { cause })
  }
  const texts = (value: unknown, what: string): string[] => {
    if (value === null || value === undefined) return []
    if (!Array.isArray(value) || value.some((entry) => typeof entry !== 'string'))
      refuse(`has ${what} that are no list of texts`)
    return value as string[]
  }
  let json: unknown
  try {
    json = JSON.parse(bytes.toString())
  } catch (cause) {
    refuse(`is not JSON: ${(cause as Error).message}`, cause)
  }
  if (!Array.isArray(json)) return refuse('is not a list of images')
  return json.map((entry: Record<string, unknown> | null): Entry => {
    const config = entry?.Config
    if (typeof config !== 'string') return refuse('has an image without a Config')
    return { config, layers: texts(entry!.Layers, 'Layers'), names: texts(entry!.RepoTags, 'RepoTags') }
  })
}

function digest(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

async function digestOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of stream) hash.update(piece)
  return `sha256:${hash.digest('hex')}`
}
