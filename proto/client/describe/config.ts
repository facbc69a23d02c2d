/** ConfigMaps, with their values, and Secrets, without. */
import type { ConfigMap, Secret } from '../../gen/types.ts'
import { deletionEntries, markEntries, nameEntries } from './metadata.ts'
import { block, entry, type Entry } from './page.ts'

/** As much of a value as a page shows. */
const VALUE_LINES = 200

export function configMapEntries(configMap: ConfigMap): Entry[] {
  const data = Object.entries(configMap.data ?? {}).map(([key, value]) => entry(key, block(shortened(value))))
  const binary = Object.entries(configMap.binaryData ?? {}).map(([key, value]) =>
    entry(key, `${Buffer.from(value, 'base64').length} bytes`),
  )
  return [
    ...nameEntries(configMap),
    ...markEntries(configMap),
    ...immutableEntry(configMap),
    ...deletionEntries(configMap),
    entry('Data', data.length === 0 ? '<none>' : data),
    ...(binary.length === 0 ? [] : [entry('BinaryData', binary)]),
  ]
}

function shortened(text: string): string[] {
  const lines = text.replace(/\n$/, '').split('\n')
  return lines.length <= VALUE_LINES
    ? lines
    : [...lines.slice(0, VALUE_LINES), `… ${lines.length - VALUE_LINES} more lines`]
}

/** Only how long each value is. */
export function secretEntries(secret: Secret): Entry[] {
  const data = Object.entries(secret.data ?? {}).map(([key, value]) =>
    entry(key, `${Buffer.from(value, 'base64').length} bytes`),
  )
  return [
    ...nameEntries(secret),
    ...markEntries(secret),
    entry('Type', secret.type),
    ...immutableEntry(secret),
    ...deletionEntries(secret),
    entry('Data', data.length === 0 ? '<none>' : data),
  ]
}

function immutableEntry({ immutable }: ConfigMap | Secret): Entry[] {
  return immutable === true ? [entry('Immutable', 'true')] : []
}
