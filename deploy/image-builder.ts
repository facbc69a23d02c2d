/**
 * Makes small images from a description, pushes them to a registry, writes them as OCI layouts: for the demo image and
 * for tests.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { pack } from 'tar-stream'

/** One file of a layer. `mode` defaults to 0644 (0755 for directories), owner to root. */
export type LayerFile = { readonly mode?: number; readonly uid?: number; readonly gid?: number } & (
  | { readonly content: string | Buffer }
  /** A file of this machine. */
  | { readonly from: string }
  | { readonly symlink: string }
  | { readonly hardlink: string }
  | { readonly dir: true }
)

export type LayerSpec =
  | { readonly files: Readonly<Record<string, LayerFile>>; readonly compression?: 'gzip' | 'none' }
  /** An archive made elsewhere, uncompressed. */
  | { readonly tar: Buffer; readonly compression?: 'gzip' | 'none' }
  /** A blob as it is, with the digest that the config is to name. */
  | { readonly blob: Buffer; readonly diffId: string; readonly mediaType: string }

export interface ImageSpec {
  readonly layers: readonly LayerSpec[]
  /** The config's `config`: Env, Cmd, … as in https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md */
  readonly config?: Readonly<Record<string, unknown>>
  /** Default: linux on this machine's processor. */
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string }
  /** Media types: OCI's (default) or Docker's. */
  readonly format?: 'oci' | 'docker'
}

export interface BuiltBlob {
  readonly mediaType: string
  readonly digest: string
  readonly bytes: Buffer
}

export interface BuiltImage {
  readonly manifest: BuiltBlob
  readonly config: BuiltBlob
  readonly layers: readonly BuiltBlob[]
  readonly platform: NonNullable<ImageSpec['platform']>
}

export interface BuiltIndex {
  readonly manifest: BuiltBlob
  readonly images: readonly BuiltImage[]
}

const TYPES = {
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
    gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
    none: 'application/vnd.oci.image.layer.v1.tar',
  },
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    none: 'application/vnd.docker.image.rootfs.diff.tar',
  },
} as const

/** The same description always gives the same digests. */
const BUILT_AT = new Date(Date.UTC(2026, 0, 1))

export async function buildImage(spec: ImageSpec): Promise<BuiltImage> {
  const { format = 'oci', platform = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch } } =
    spec
  const built = await Promise.all(spec.layers.map((layer) => buildLayer(layer, format)))
  const config = jsonBlob(TYPES[format].config, {
    created: BUILT_AT.toISOString(),
    ...platform,
    config: spec.config ?? {},
    rootfs: { type: 'layers', diff_ids: built.map(({ diffId }) => diffId) },
  })
  const layers = built.map(({ blob }) => blob)
  const manifest = jsonBlob(TYPES[format].manifest, {
    schemaVersion: 2,
    mediaType: TYPES[format].manifest,
    config: descriptor(config),
    layers: layers.map(descriptor),
  })
  return { manifest, config, layers, platform }
}

/** Images for several platforms under one name. */
export function buildIndex(images: readonly BuiltImage[], format: 'oci' | 'docker' = 'oci'): BuiltIndex {
  const manifests = images.map((image) => ({ ...descriptor(image.manifest), platform: image.platform }))
  return {
    manifest: jsonBlob(TYPES[format].index, { schemaVersion: 2, mediaType: TYPES[format].index, manifests }),
    images,
  }
}

export interface PushTarget {
  /** "host:port" */
  readonly registry: string
  readonly repository: string
  readonly tag: string
  /** Plain HTTP. */
  readonly insecure?: boolean
  readonly username?: string
  readonly password?: string
}

/**
 * Uploads what the registry lacks, then the manifest under its tag.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
 * Throws an Error that says which request was answered how.
 */
export async function pushImage(image: BuiltImage | BuiltIndex, target: PushTarget): Promise<void> {
  const base = `${target.insecure === true ? 'http' : 'https'}://${target.registry}/v2/${target.repository}`
  const authorization: Record<string, string> =
    target.username === undefined
      ? {}
      : { authorization: `Basic ${Buffer.from(`${target.username}:${target.password ?? ''}`).toString('base64')}` }
  const send = async (
    method: string,
    url: string,
    expected: readonly number[],
    headers: Record<string, string> = {},
    body?: Buffer,
  ): Promise<Response> => {
    const response = await fetch(url, {
      method,
      headers: { ...authorization, ...headers },
      ...(body === undefined ? {} : { body }),
    })
    const answer = await response.text()
    if (!expected.includes(response.status))
      throw new Error(`${method} ${url}: ${response.status} ${answer.slice(0, 500)}`)
    return response
  }
  const images = 'images' in image ? image.images : [image]
  for (const blob of images.flatMap(({ config, layers }) => [config, ...layers])) {
    if ((await send('HEAD', `${base}/blobs/${blob.digest}`, [200, 404])).status === 200) continue
    const location = new URL(
      (await send('POST', `${base}/blobs/uploads/`, [202])).headers.get('location') ?? '',
      `${base}/`,
    )
    location.searchParams.set('digest', blob.digest)
    await send('PUT', location.href, [201], { 'content-type': 'application/octet-stream' }, blob.bytes)
  }
  for (const { manifest } of 'images' in image ? image.images : [])
    await send(
      'PUT',
      `${base}/manifests/${manifest.digest}`,
      [201],
      { 'content-type': manifest.mediaType },
      manifest.bytes,
    )
  await send(
    'PUT',
    `${base}/manifests/${target.tag}`,
    [201],
    { 'content-type': image.manifest.mediaType },
    image.manifest.bytes,
  )
}

/** Writes an OCI layout. https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md */
export async function writeLayout(image: BuiltImage | BuiltIndex, folder: string, tag: string): Promise<void> {
  const blobs = join(folder, 'blobs', 'sha256')
  await mkdir(blobs, { recursive: true })
  const images = 'images' in image ? image.images : [image]
  for (const { digest, bytes } of [
    image.manifest,
    ...images.flatMap(({ manifest, config, layers }) => [manifest, config, ...layers]),
  ])
    await writeFile(join(blobs, digest.slice('sha256:'.length)), bytes)
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  const manifests = [{ ...descriptor(image.manifest), annotations: { 'org.opencontainers.image.ref.name': tag } }]
  await writeFile(
    join(folder, 'index.json'),
    JSON.stringify({ schemaVersion: 2, mediaType: TYPES.oci.index, manifests }),
  )
}

export function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

async function buildLayer(spec: LayerSpec, format: 'oci' | 'docker'): Promise<{ blob: BuiltBlob; diffId: string }> {
  if ('blob' in spec)
    return { blob: { mediaType: spec.mediaType, digest: sha256(spec.blob), bytes: spec.blob }, diffId: spec.diffId }
  let archive = archives.get(spec)
  if (archive === undefined) archives.set(spec, (archive = buildArchive(spec)))
  const { bytes, digest, diffId } = await archive
  return { blob: { mediaType: TYPES[format][spec.compression ?? 'gzip'], digest, bytes }, diffId }
}

interface Archive {
  readonly bytes: Buffer
  readonly digest: string
  readonly diffId: string
}

/** Of layers that may come again: images that share one give the same description of it. */
const archives = new WeakMap<LayerSpec, Promise<Archive>>()

async function buildArchive(spec: Exclude<LayerSpec, { blob: Buffer }>): Promise<Archive> {
  const tar = 'tar' in spec ? spec.tar : await buildTar(spec.files)
  const bytes = spec.compression === 'none' ? tar : await promisify(gzip)(tar)
  return { bytes, digest: sha256(bytes), diffId: sha256(tar) }
}

/** An uncompressed archive of files, in their order. */
export async function buildTar(files: Readonly<Record<string, LayerFile>>): Promise<Buffer> {
  const tar = pack()
  const bytes = buffer(tar)
  for (const [name, file] of Object.entries(files)) {
    const { uid = 0, gid = 0 } = file
    const header = { name, uid, gid, mtime: BUILT_AT }
    if ('dir' in file) tar.entry({ ...header, type: 'directory', mode: file.mode ?? 0o755 })
    else if ('symlink' in file) tar.entry({ ...header, type: 'symlink', linkname: file.symlink, mode: 0o777 })
    else if ('hardlink' in file) tar.entry({ ...header, type: 'link', linkname: file.hardlink })
    else
      tar.entry(
        { ...header, type: 'file', mode: file.mode ?? 0o644 },
        'from' in file ? await readFile(file.from) : Buffer.from(file.content),
      )
  }
  tar.finalize()
  return bytes
}

function jsonBlob(mediaType: string, value: unknown): BuiltBlob {
  const bytes = Buffer.from(JSON.stringify(value))
  return { mediaType, digest: sha256(bytes), bytes }
}

function descriptor({ mediaType, digest, bytes }: BuiltBlob): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest, size: bytes.length }
}
