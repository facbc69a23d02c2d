/**
 * Manifests, indexes and configs as they stand in a registry: read strictly, whatever sent them.
 * https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md, image-index.md and config.md;
 * https://distribution.github.io/distribution/spec/manifest-v2-2/ for Docker's own types.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { ImageConfig } from '../contract.ts'
import { isDigest } from '../reference.ts'

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
export const DOCKER_INDEX = 'application/vnd.docker.distribution.manifest.list.v2+json'
export const MANIFEST_TYPES = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST] as const

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  /** Bytes. */
  readonly size: number
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  /** "v7", "v8", …; '' if there is none. */
  readonly variant: string
}

export type Manifest =
  | { readonly kind: 'image'; readonly config: Descriptor; readonly layers: readonly Descriptor[] }
  | {
      readonly kind: 'index'
      readonly manifests: readonly (Descriptor & { readonly platform: Platform | undefined })[]
    }

export interface OciImageConfig {
  readonly platform: Platform
  /** Digests of the uncompressed layers, lowest first. */
  readonly diffIds: readonly string[]
  readonly image: ImageConfig
}

/** How a layer is compressed is seen from its bytes; its type only says that it is one. */
const LAYER_TYPE =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1\.tar|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar)(?:[.+](?:gzip|zstd))?$/
/** Overlay mounts take 500 lower folders at most; Docker itself stops at 127. */
const MOST_LAYERS = 200
/** Bytes of a config, which is read whole; those of large images have some tens of thousands. */
const LARGEST_CONFIG = 8 << 20

/** A manifest or an index. `name` is what errors call it. */
export function parseManifest(bytes: Uint8Array, contentType: string, name: string): Manifest {
  const json = parseObject(bytes, name)
  const type = typeof json.mediaType === 'string' ? json.mediaType : contentType.split(';')[0]!.trim()
  if (json.schemaVersion === 1 || type.startsWith('application/vnd.docker.distribution.manifest.v1+'))
    throw new GantryError(
      'Unsupported',
      `${name} is of Docker's schema 1, which registries gave up in 2020: build and push the image again`,
    )
  if (type === OCI_INDEX || type === DOCKER_INDEX || (Array.isArray(json.manifests) && json.layers === undefined)) {
    return {
      kind: 'index',
      manifests: list(json.manifests, `${name}: manifests`).map((entry, place) => ({
        ...descriptor(entry, `${name}: manifests[${place}]`),
        platform: platform(entry),
      })),
    }
  }
  if (type !== OCI_MANIFEST && type !== DOCKER_MANIFEST && json.layers === undefined)
    throw new GantryError('InvalidArgument', `${name} is of type "${type}", which is no image`)
  const config = descriptor(json.config, `${name}: config`)
  if (config.size > LARGEST_CONFIG)
    throw new GantryError('InvalidArgument', `${name}: config has ${config.size} bytes, more than ${LARGEST_CONFIG}`)
  const layers = list(json.layers, `${name}: layers`).map((entry, place) => {
    const found = descriptor(entry, `${name}: layers[${place}]`)
    if (!LAYER_TYPE.test(found.mediaType))
      throw new GantryError(
        'InvalidArgument',
        `${name}: layers[${place}] is of type "${found.mediaType}", which is no file system layer`,
      )
    return found
  })
  if (layers.length > MOST_LAYERS)
    throw new GantryError('InvalidArgument', `${name} has ${layers.length} layers, more than ${MOST_LAYERS}`)
  return { kind: 'image', config, layers }
}

/** An image's config. */
export function parseConfig(bytes: Uint8Array, name: string): OciImageConfig {
  const json = parseObject(bytes, name)
  const rootfs = object(json.rootfs, `${name}: rootfs`)
  const diffIds = list(rootfs.diff_ids, `${name}: rootfs.diff_ids`).map((entry) => {
    if (typeof entry !== 'string' || !isDigest(entry))
      throw new GantryError(
        'InvalidArgument',
        `${name}: rootfs.diff_ids holds ${JSON.stringify(entry)}, which is no sha256 digest`,
      )
    return entry
  })
  const run = json.config === undefined || json.config === null ? {} : object(json.config, `${name}: config`)
  return {
    diffIds,
    platform: { os: text(json.os), architecture: text(json.architecture), variant: text(json.variant) },
    image: {
      env: texts(run.Env, `${name}: Env`),
      entrypoint: texts(run.Entrypoint, `${name}: Entrypoint`),
      cmd: texts(run.Cmd, `${name}: Cmd`),
      workingDir: text(run.WorkingDir),
      user: text(run.User),
      stopSignal: text(run.StopSignal),
      volumes: keys(run.Volumes),
      labels: Object.fromEntries(
        Object.entries(isObject(run.Labels) ? run.Labels : {}).map(([key, value]) => [key, text(value)]),
      ),
    },
  }
}

/**
 * The entry of an index for a platform, or undefined. Of several variants the machine's own or the plainest is taken:
 * an amd64 machine may lack what v2 or v3 need, an arm64 one is always v8. An index of one manifest that names no
 * platform is taken as it is.
 */
export function choosePlatform(index: Extract<Manifest, { kind: 'index' }>, wanted: Platform): Descriptor | undefined {
  const fitting = index.manifests.filter(
    ({ platform }) => platform?.os === wanted.os && platform.architecture === wanted.architecture,
  )
  const variants = [
    wanted.variant,
    '',
    ...(wanted.architecture === 'amd64' ? ['v1'] : []),
    ...(wanted.architecture === 'arm64' ? ['v8'] : []),
  ]
  for (const variant of variants) {
    const found = fitting.find((entry) => entry.platform!.variant === variant)
    if (found !== undefined) return found
  }
  return index.manifests.length === 1 && index.manifests[0]!.platform === undefined ? index.manifests[0] : undefined
}

/** Node's name of the processor (`process.arch`) as image platforms call it. */
export function machinePlatform(arch: string): Platform {
  const architecture = arch === 'x64' ? 'amd64' : arch === 'ia32' ? '386' : arch
  return { os: 'linux', architecture, variant: architecture === 'arm' ? 'v7' : '' }
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return `${os}/${architecture}${variant === '' ? '' : `/${variant}`}`
}

type Json = Readonly<Record<string, unknown>>

function parseObject(bytes: Uint8Array, name: string): Json {
  try {
    return object(JSON.parse(Buffer.from(bytes).toString()), name)
  } catch (cause) {
    throw cause instanceof GantryError
      ? cause
      : new GantryError('InvalidArgument', `${name} is not JSON: ${(cause as Error).message}`, { cause })
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function object(value: unknown, name: string): Json {
  if (!isObject(value)) throw new GantryError('InvalidArgument', `${name} is not an object`)
  return value
}

function list(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new GantryError('InvalidArgument', `${name} is not a list`)
  return value
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function texts(value: unknown, name: string): readonly string[] {
  if (value === undefined || value === null) return []
  return list(value, name).map((entry) => {
    if (typeof entry !== 'string')
      throw new GantryError('InvalidArgument', `${name} holds ${JSON.stringify(entry)}, which is no text`)
    return entry
  })
}

function keys(value: unknown): readonly string[] {
  return isObject(value) ? Object.keys(value) : []
}

function descriptor(value: unknown, name: string): Descriptor {
  const json = object(value, name)
  const digest = text(json.digest)
  if (!isDigest(digest)) throw new GantryError('InvalidArgument', `${name}: digest "${digest}" is not a sha256 digest`)
  if (typeof json.size !== 'number' || !Number.isSafeInteger(json.size) || json.size < 0)
    throw new GantryError('InvalidArgument', `${name}: size ${JSON.stringify(json.size)} is not a count of bytes`)
  return { mediaType: text(json.mediaType), digest, size: json.size }
}

function platform(value: unknown): Platform | undefined {
  const json = (value as Json).platform
  return isObject(json)
    ? { os: text(json.os), architecture: text(json.architecture), variant: text(json.variant) }
    : undefined
}
