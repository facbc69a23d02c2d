/** The page of a kind that has none of its own: every field, as deep as it goes. */
import { encodeJson } from '../../codec/codec.ts'
import type { AnyResource, JsonObject, JsonValue } from '../../gen/types.ts'
import { deletionEntries, markEntries, nameEntries } from './metadata.ts'
import { entry, type Entry } from './page.ts'

export function genericEntries(object: AnyResource): Entry[] {
  const { apiVersion, kind, metadata: _metadata, ...rest } = encodeJson(object)
  return [
    ...nameEntries(object),
    ...markEntries(object),
    entry('API Version', String(apiVersion)),
    entry('Kind', String(kind)),
    ...deletionEntries(object),
    ...Object.entries(rest).map(([name, value]) => fieldEntry(name, value)),
  ]
}

function fieldEntry(name: string, value: JsonValue): Entry {
  const label = labelOf(name)
  if (Array.isArray(value)) {
    if (value.length === 0) return entry(label, '<none>')
    if (value.every((item) => typeof item !== 'object' || item === null)) return entry(label, value.map(String))
    return entry(
      label,
      value.flatMap((item) =>
        isObject(item) ? Object.entries(item).map(([key, part]) => fieldEntry(key, part)) : [fieldEntry(name, item)],
      ),
    )
  }
  if (!isObject(value)) return entry(label, String(value))
  const fields = Object.entries(value)
  return fields.length === 0
    ? entry(label, '<none>')
    : entry(
        label,
        fields.map(([key, part]) => fieldEntry(key, part)),
      )
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** "cronSpec" is shown as "Cron Spec". */
function labelOf(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/^./, (letter) => letter.toUpperCase())
}
