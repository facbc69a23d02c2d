/** ConfigMap and Secret. https://kubernetes.io/docs/concepts/configuration/ */
import type { ConfigMap, Secret } from '../gen/types.ts'
import { entryPath } from '../base/path.ts'
import { sameJson } from '../base/json.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const configMapRules: KindRules<'ConfigMap'> = { object: validateConfigMap, update: validateConfigMapUpdate }
export const secretRules: KindRules<'Secret'> = { object: validateSecret, update: validateSecretUpdate }

/** Bytes of all values together, so that an object stays below what the store takes. */
const SIZE_LIMIT = 1024 * 1024

function validateConfigMap(report: Report, { data = {}, binaryData = {} }: ConfigMap): void {
  for (const key of Object.keys(binaryData)) {
    if (Object.hasOwn(data, key))
      report.wrong(entryPath('data', key), key, 'is a key of binaryData too', 'keep it in one of the two')
  }
  validateSize(report, 'data', textSize(data) + base64Size(binaryData))
}

function validateConfigMapUpdate(report: Report, next: ConfigMap, previous: ConfigMap): void {
  if (previous.immutable === true) validateImmutable(report, next, previous, ['data', 'binaryData'])
}

/** The keys that a type of Secret needs. https://kubernetes.io/docs/concepts/configuration/secret/#secret-types */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
}

function validateSecret(report: Report, { type, data = {}, stringData = {} }: Secret): void {
  if (type === 'kubernetes.io/service-account-token')
    report.wrong(
      'type',
      type,
      'is not made: a token in a Secret would never end',
      'mount one into pods (volumes[].projected), or ask for one: kubectl create token ACCOUNT',
    )
  const present = (key: string): boolean => Object.hasOwn(data, key) || Object.hasOwn(stringData, key)
  for (const key of NEEDED[type] ?? [])
    if (!present(key)) report.missing(entryPath('data', key), `a Secret of type ${type} has it`)
  if (type === 'kubernetes.io/basic-auth' && !present('username') && !present('password')) {
    for (const key of ['username', 'password'])
      report.missing(entryPath('data', key), 'a Secret of type kubernetes.io/basic-auth has username, password or both')
  }
  const json =
    type === 'kubernetes.io/dockerconfigjson'
      ? '.dockerconfigjson'
      : type === 'kubernetes.io/dockercfg'
        ? '.dockercfg'
        : undefined
  if (json !== undefined && data[json] !== undefined && !isJson(Buffer.from(data[json], 'base64').toString())) {
    report.refused(
      entryPath('data', json),
      'is not JSON',
      'write it as in the file that a registry login makes',
      'FieldValueInvalid',
    )
  }
  validateSize(report, 'data', base64Size(data) + textSize(stringData))
}

function validateSecretUpdate(report: Report, next: Secret, previous: Secret): void {
  if (previous.immutable === true) validateImmutable(report, next, previous, ['data'])
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return false
    throw thrown
  }
}

function textSize(values: Readonly<Record<string, string>>): number {
  return Object.values(values).reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}

function base64Size(values: Readonly<Record<string, string>>): number {
  return Object.values(values).reduce((sum, text) => sum + Buffer.byteLength(text, 'base64'), 0)
}

function validateSize(report: Report, path: string, size: number): void {
  if (size > SIZE_LIMIT)
    report.refused(
      path,
      `has ${size} bytes, at most ${SIZE_LIMIT} are allowed`,
      'split it, or put large files into an image or a volume',
      'FieldValueTooLong',
    )
}

function validateImmutable<T extends { immutable?: boolean | undefined }>(
  report: Report,
  next: T,
  previous: T,
  fields: readonly (keyof T & string)[],
): void {
  if (next.immutable !== true)
    report.refused('immutable', 'field is immutable when `immutable` is set', 'delete the object and create it anew')
  for (const field of fields) {
    if (!sameJson(next[field] ?? {}, previous[field] ?? {}))
      report.refused(field, 'field is immutable when `immutable` is set', 'create one with another name')
  }
}
