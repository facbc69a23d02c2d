import type { JsonValue } from '../../../proto/gen/types.ts'

/** The value with one place, that the steps lead to, replaced. */
export function replaceSomewhere(json: JsonValue, steps: readonly number[], value: JsonValue): JsonValue {
  const [step, ...rest] = steps
  if (step === undefined || typeof json !== 'object' || json === null) return value
  const keys = Object.keys(json)
  if (keys.length === 0) return value
  const key = keys[step % keys.length]!
  if (Array.isArray(json))
    return json.map((item, index) => (String(index) === key ? replaceSomewhere(item, rest, value) : item))
  return { ...json, [key]: replaceSomewhere(json[key]!, rest, value) }
}
