/**
 * What an object's status must look like. Whoever writes it, an agent or a client, is trusted less than the control
 * plane that acts on it, so the schema's `format`, `enum` and `keyFormat` hold for it as they do for a spec, and its
 * size is bounded. A value that was wrong before stays writable until it is put right, as Kubernetes' ratcheting has
 * it, so that a stricter schema locks nobody out of an object.
 */
import type { AnyResource, ErrorDetail } from '../gen/types.ts'
import { plainStatusCheck } from '../gen/status-checks.ts'
import { jsonFields } from '../codec/json-fields.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import { keyFlaw, keyMessage, valueFlaw } from '../schema/field-rules.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { SPECIAL_MESSAGES } from '../schema/schema.ts'
import type { FieldSchema } from '../schema/model.ts'
import { readSpecial } from '../schema/special.ts'
import { rulesOf } from './kinds.ts'
import { CANONICAL_TIME, LONGEST_TEXT, MOST_CONDITIONS, MOST_ITEMS } from './plain-checks.ts'
import { Report } from './report.ts'

type Fields = Record<string, unknown>

/**
 * What is wrong with an object's status; of a custom kind its definition's schema says that. `previous`: the object
 * before; what was wrong in the same way at the same place is let through.
 */
export function validateStatus(object: AnyResource, previous?: AnyResource): ErrorDetail[] {
  if (customKinds.get(object.kind) !== undefined) return []
  const found = findings(object)
  if (found.details.length === 0 || previous === undefined) return found.details
  const known = new Set(findings(previous).keys)
  return found.details.filter((_, index) => !known.has(found.keys[index]!))
}

/**
 * A report that remembers each finding by its field, whichever item of a list it is in, its whole value and what is
 * wrong with it.
 */
class Findings extends Report {
  readonly keys: string[] = []

  override wrong(field: string, value: unknown, message: string, remedy = ''): void {
    super.wrong(field, value, message, remedy)
    this.#remember(field, value, message)
  }

  override missing(field: string, remedy = ''): void {
    super.missing(field, remedy)
    this.#remember(field, '', 'missing')
  }

  override refused(field: string, message: string, remedy?: string): void {
    super.refused(field, message, remedy)
    this.#remember(field, '', message)
  }

  #remember(field: string, value: unknown, message: string): void {
    this.keys.push(JSON.stringify([field.replaceAll(/\[\d+\]/g, '[]'), value, message]))
  }
}

function findings(object: AnyResource): Findings {
  const report = new Findings()
  const { status } = object as { readonly status?: Fields }
  const message = jsonFields(object.kind).get('status')?.type
  if (status === undefined || message === undefined) return report
  if (plainStatusCheck(object.kind)?.(status) !== true) validateStatusFields(report, message, status, 'status')
  rulesOf(object.kind).status?.(report, object)
  return report
}

/** What the schema's options say of a message in a status. */
export function validateStatusFields(report: Report, message: string, fields: Fields, path: string): void {
  for (const field of jsonFields(message).values()) {
    const value = fields[field.name]
    if (value === undefined || typeof value === 'boolean') continue
    const at = fieldPath(path, field.name)
    switch (field.label) {
      case 'optional':
        validateValue(report, field, value, at)
        break
      case 'repeated':
        validateList(report, field, value as readonly unknown[], at)
        break
      case 'map':
        validateMap(report, field, value as Fields, at)
    }
  }
}

function validateList(report: Report, field: FieldSchema, items: readonly unknown[], path: string): void {
  const most = field.name === 'conditions' ? MOST_CONDITIONS : MOST_ITEMS
  if (items.length > most)
    return report.refused(path, `are ${items.length}, at most ${most} are allowed`, 'tell fewer', 'FieldValueTooMany')
  items.forEach((item, index) => validateValue(report, field, item, entryPath(path, index)))
  if (field.options.mergeKey !== undefined && field.type !== 'NodeAddress')
    validateKeys(report, field.options.mergeKey, items as readonly Fields[], path)
}

/**
 * Items that are told apart by a key have one, and each another. A node's addresses are not: in Kubernetes, too, it may
 * have two of a type.
 */
function validateKeys(report: Report, keys: readonly string[], items: readonly Fields[], path: string): void {
  const seen = new Set<string>()
  items.forEach((item, index) => {
    const at = fieldPath(entryPath(path, index), keys[0]!)
    const key = keys.map((name) => item[name] ?? '').join('\n')
    if (key === '') report.missing(at)
    else if (seen.has(key)) report.wrong(at, key, 'is there twice', 'keep one')
    seen.add(key)
  })
}

function validateMap(report: Report, field: FieldSchema, map: Fields, path: string): void {
  const entries = Object.entries(map)
  if (entries.length > MOST_ITEMS)
    return report.refused(
      path,
      `has ${entries.length} entries, at most ${MOST_ITEMS} are allowed`,
      'tell fewer',
      'FieldValueTooMany',
    )
  for (const [key, value] of entries) {
    const flaw = keyFlaw(field, key)
    const at = entryPath(path, key)
    if (flaw !== undefined && flaw.unsupported !== true) report.wrong(at, key, keyMessage(flaw), flaw.remedy)
    validateValue(report, field, value, at)
  }
}

function validateValue(report: Report, field: FieldSchema, value: unknown, path: string): void {
  if (field.kind === 'message' && !SPECIAL_MESSAGES.has(field.type))
    return validateStatusFields(report, field.type, value as Fields, path)
  if (typeof value !== 'string' && typeof value !== 'number') return
  const flaw =
    field.kind === 'message' ? specialFlaw(field.type, value) : (valueFlaw(field, value) ?? lengthFlaw(value))
  // What Gantry does not act on may be told nevertheless.
  if (flaw !== undefined && flaw.unsupported !== true) report.wrong(path, value, flaw.message, flaw.remedy)
}

function specialFlaw(
  type: string,
  value: string | number,
): { readonly message: string; readonly remedy: string; readonly unsupported?: boolean } | undefined {
  if ((type === 'Time' || type === 'MicroTime') && CANONICAL_TIME.test(String(value))) return undefined
  const read = readSpecial(type, value)
  return 'message' in read ? read : undefined
}

function lengthFlaw(
  value: string | number,
): { readonly message: string; readonly remedy: string; readonly unsupported?: boolean } | undefined {
  // A character has at most three bytes for each of its UTF-16 units.
  if (typeof value === 'number' || value.length * 3 <= LONGEST_TEXT) return undefined
  const bytes = Buffer.byteLength(value)
  return bytes <= LONGEST_TEXT
    ? undefined
    : { message: `has ${bytes} bytes, at most ${LONGEST_TEXT} are allowed`, remedy: 'shorten it' }
}
