/**
 * Which files a volume made of ConfigMaps, Secrets, tokens and the pod's own fields holds: a pure function.
 * https://kubernetes.io/docs/concepts/storage/projected-volumes/
 */
import { GantryError } from '../../proto/base/errors.ts'
import type {
  ConfigMap,
  DownwardAPIVolumeFile,
  KeyToPath,
  Pod,
  Secret,
  ServiceAccountTokenProjection,
  Volume,
} from '../../proto/gen/types.ts'
import type { ConfigSource } from './config-source.ts'
import { fieldValue, resourceValue, type DownwardApiContext } from './downward-api.ts'

export interface ProjectedFile {
  readonly content: Uint8Array
  /** Permission bits. */
  readonly mode: number
}

/** By path relative to the volume. */
export type Projection = ReadonlyMap<string, ProjectedFile>

/**
 * The content of such a volume; undefined for a volume of another kind. NotFound: a reference or key that is not
 * optional is not there.
 */
export function projection(
  pod: Pod,
  volume: Volume,
  objects: ConfigSource,
  place: DownwardApiContext,
): Projection | undefined {
  const files = new Map<string, ProjectedFile>()
  const { configMap, secret, downwardAPI, projected } = volume
  if (configMap !== undefined) addConfigMap(files, pod, configMap, configMap.defaultMode, objects)
  else if (secret !== undefined)
    addSecret(files, pod, { ...secret, name: secret.secretName }, secret.defaultMode, objects)
  else if (downwardAPI !== undefined) addFields(files, pod, downwardAPI.items ?? [], downwardAPI.defaultMode, place)
  else if (projected !== undefined) {
    for (const source of projected.sources ?? []) {
      if (source.configMap !== undefined) addConfigMap(files, pod, source.configMap, projected.defaultMode, objects)
      if (source.secret !== undefined) addSecret(files, pod, source.secret, projected.defaultMode, objects)
      if (source.downwardAPI !== undefined)
        addFields(files, pod, source.downwardAPI.items ?? [], projected.defaultMode, place)
      if (source.serviceAccountToken !== undefined)
        addToken(files, pod, source.serviceAccountToken, projected.defaultMode, objects)
      if (source.clusterTrustBundle !== undefined)
        throw new GantryError(
          'Unsupported',
          `volume "${volume.name}": a projected clusterTrustBundle is not acted on yet`,
        )
    }
  } else return undefined
  return files
}

interface Reference {
  readonly name?: string | undefined
  readonly items?: readonly KeyToPath[] | undefined
  readonly optional?: boolean | undefined
}

function addConfigMap(
  files: Map<string, ProjectedFile>,
  pod: Pod,
  reference: Reference,
  mode: number,
  objects: ConfigSource,
): void {
  const found = objects.configMap(pod.metadata.namespace, reference.name ?? '')
  addKeys(files, `configmap "${reference.name ?? ''}"`, found, configMapContent(found), reference, mode)
}

function configMapContent(found: ConfigMap | undefined): Map<string, Uint8Array> {
  return new Map([
    ...Object.entries(found?.data ?? {}).map(([key, text]): [string, Uint8Array] => [key, Buffer.from(text)]),
    ...Object.entries(found?.binaryData ?? {}).map(([key, text]): [string, Uint8Array] => [
      key,
      Buffer.from(text, 'base64'),
    ]),
  ])
}

function addSecret(
  files: Map<string, ProjectedFile>,
  pod: Pod,
  reference: Reference,
  mode: number,
  objects: ConfigSource,
): void {
  const found = objects.secret(pod.metadata.namespace, reference.name ?? '')
  const content = new Map(
    Object.entries(found?.data ?? {}).map(([key, text]): [string, Uint8Array] => [key, Buffer.from(text, 'base64')]),
  )
  addKeys(files, `secret "${reference.name ?? ''}"`, found, content, reference, mode)
}

function addKeys(
  files: Map<string, ProjectedFile>,
  what: string,
  found: ConfigMap | Secret | undefined,
  content: ReadonlyMap<string, Uint8Array>,
  reference: Reference,
  mode: number,
): void {
  const { optional = false, items } = reference
  if (found === undefined && !optional) throw new GantryError('NotFound', `${what} not found`)
  const wanted = items ?? [...content.keys()].map((key): KeyToPath => ({ key, path: key }))
  for (const item of wanted) {
    const bytes = content.get(item.key)
    if (bytes !== undefined) add(files, item.path, bytes, item.mode ?? mode)
    else if (!optional) throw new GantryError('NotFound', `${what} has no key "${item.key}"`)
  }
}

function addFields(
  files: Map<string, ProjectedFile>,
  pod: Pod,
  items: readonly DownwardAPIVolumeFile[],
  mode: number,
  place: DownwardApiContext,
): void {
  for (const item of items) {
    const text =
      item.fieldRef !== undefined
        ? fieldValue(pod, item.fieldRef, place)
        : item.resourceFieldRef !== undefined
          ? resourceValue(pod, item.resourceFieldRef, undefined, place)
          : ''
    add(files, item.path, Buffer.from(text), item.mode ?? mode)
  }
}

/** NotFound: the control plane has not given it, because there is no such account (any more). */
function addToken(
  files: Map<string, ProjectedFile>,
  { metadata: { uid }, spec: { serviceAccountName = 'default' } }: Pod,
  wanted: ServiceAccountTokenProjection,
  mode: number,
  objects: ConfigSource,
): void {
  const token = objects.token(uid, wanted)
  if (token === undefined)
    throw new GantryError('NotFound', `serviceaccount "${serviceAccountName}" not found: there is no token of it`)
  add(files, wanted.path, Buffer.from(token), mode)
}

function add(files: Map<string, ProjectedFile>, path: string, content: Uint8Array, mode: number): void {
  const components = path.split('/')
  if (
    path.startsWith('/') ||
    components.some((part) => part === '' || part === '.' || part === '..') ||
    components[0]!.startsWith('..')
  ) {
    throw new GantryError('InvalidArgument', `"${path}" is not a path inside a volume`, {
      details: [{ field: 'path', value: path }],
    })
  }
  files.set(path, { content, mode })
}
