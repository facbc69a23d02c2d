/** Volumes of a pod. https://kubernetes.io/docs/concepts/storage/volumes/ */
import type { DownwardAPIVolumeFile, KeyToPath, ProjectedVolumeSource, Volume, VolumeProjection } from '../gen/types.ts'
import { jsonFields } from '../codec/json-fields.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { validateFieldReference, validateResourceReference, VOLUME_FIELDS } from './references.ts'
import { exactlyOne, type Report } from './report.ts'
import { amountOf } from './resources.ts'

const SOURCES = [...jsonFields('VolumeSource').keys()] as (keyof Volume & string)[]
/** Of a token; those of Kubernetes. */
export const TOKEN_SECONDS = { least: 600, most: 2 ** 32 } as const
const PROJECTIONS = ['secret', 'configMap', 'downwardAPI', 'serviceAccountToken', 'clusterTrustBundle'] as const

export function validateVolume(report: Report, path: string, volume: Volume): void {
  validateSource(report, path, volume)
  const { emptyDir, secret, configMap, downwardAPI, projected } = volume
  if ((amountOf(emptyDir?.sizeLimit) ?? 0n) < 0n) {
    report.wrong(
      fieldPath(path, 'emptyDir.sizeLimit'),
      emptyDir!.sizeLimit,
      'is negative',
      'give 0 (no limit) or more',
      'FieldValueForbidden',
    )
  }
  if (secret !== undefined) {
    if (secret.secretName === undefined || secret.secretName === '')
      report.missing(fieldPath(path, 'secret.secretName'))
    validateItems(report, fieldPath(path, 'secret.items'), secret.items)
  }
  if (configMap !== undefined) {
    if (configMap.name === undefined || configMap.name === '') report.missing(fieldPath(path, 'configMap.name'))
    validateItems(report, fieldPath(path, 'configMap.items'), configMap.items)
  }
  if (downwardAPI !== undefined) validateFiles(report, fieldPath(path, 'downwardAPI.items'), downwardAPI.items)
  projected?.sources?.forEach((source, index) =>
    validateProjection(report, entryPath(fieldPath(path, 'projected.sources'), index), source),
  )
  if (projected !== undefined) validateDistinct(report, fieldPath(path, 'projected.sources'), projected)
}

/** One source at most: with none it is an empty directory (see defaults.ts). */
function validateSource(report: Report, path: string, volume: Volume): void {
  const given = SOURCES.filter((name) => volume[name] !== undefined)
  if (given.length > 1)
    report.refused(
      fieldPath(path, given[1]!),
      `cannot stand beside ${given[0]}, a volume has only one source`,
      'keep one, or use projected',
    )
}

function validateProjection(report: Report, path: string, source: VolumeProjection): void {
  exactlyOne(report, path, source, PROJECTIONS)
  for (const name of ['secret', 'configMap'] as const) {
    const projection = source[name]
    if (projection === undefined) continue
    if (projection.name === undefined || projection.name === '') report.missing(fieldPath(path, `${name}.name`))
    validateItems(report, fieldPath(path, `${name}.items`), projection.items)
  }
  if (source.downwardAPI !== undefined)
    validateFiles(report, fieldPath(path, 'downwardAPI.items'), source.downwardAPI.items)
  const { expirationSeconds = TOKEN_SECONDS.least } = source.serviceAccountToken ?? {}
  if (expirationSeconds < TOKEN_SECONDS.least || expirationSeconds > TOKEN_SECONDS.most) {
    report.wrong(
      fieldPath(path, 'serviceAccountToken.expirationSeconds'),
      expirationSeconds,
      'is out of range',
      `give a number from ${TOKEN_SECONDS.least} to ${TOKEN_SECONDS.most}`,
    )
  }
}

/** As far as it is known before the objects are: two sources may not make the same file. */
function validateDistinct(report: Report, path: string, { sources = [] }: ProjectedVolumeSource): void {
  const seen = new Map<string, number>()
  sources.forEach(({ secret, configMap, downwardAPI, serviceAccountToken }, index) => {
    const files = [
      ...(secret?.items ?? []),
      ...(configMap?.items ?? []),
      ...(downwardAPI?.items ?? []),
      ...(serviceAccountToken === undefined ? [] : [serviceAccountToken]),
    ]
    for (const { path: file } of files) {
      const first = seen.get(file)
      if (first !== undefined && first !== index)
        report.wrong(entryPath(path, index), file, `is a file of ${entryPath(path, first)}, too`, 'choose another path')
      seen.set(file, index)
    }
  })
}

function validateItems(report: Report, path: string, items: readonly KeyToPath[] = []): void {
  validatePaths(report, path, items)
}

function validateFiles(report: Report, path: string, items: readonly DownwardAPIVolumeFile[] = []): void {
  validatePaths(report, path, items)
  items.forEach((item, index) => {
    const at = entryPath(path, index)
    exactlyOne(report, at, item, ['fieldRef', 'resourceFieldRef'], { many: 'FieldValueInvalid' })
    if (item.fieldRef !== undefined)
      validateFieldReference(report, fieldPath(at, 'fieldRef'), item.fieldRef, VOLUME_FIELDS)
    if (item.resourceFieldRef === undefined) return
    validateResourceReference(report, fieldPath(at, 'resourceFieldRef'), item.resourceFieldRef)
    if (item.resourceFieldRef.containerName === undefined)
      report.missing(fieldPath(at, 'resourceFieldRef.containerName'), 'a volume belongs to all containers: name one')
  })
}

/** Two items may not make the same file. */
function validatePaths(report: Report, path: string, items: readonly { readonly path: string }[]): void {
  const seen = new Set<string>()
  items.forEach((item, index) => {
    if (seen.has(item.path))
      report.wrong(
        fieldPath(entryPath(path, index), 'path'),
        item.path,
        'is the path of an item before',
        'choose another',
      )
    seen.add(item.path)
  })
}
