/**
 * What the schema's options ask of an object: required, enum, format, keyFormat, mergeKey, unsupported, and frozen on
 * an update.
 */
import { plainCheck } from '../gen/checks.ts'
import { jsonFields } from '../codec/json-fields.ts'
import {
  duplicateField,
  isInert,
  keyFlaw,
  keyMessage,
  unsupportedMessage,
  unsupportedRemedy,
  valueFlaw,
} from '../schema/field-rules.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { showValue } from '../base/problem.ts'
import { SPECIAL_MESSAGES } from '../schema/schema.ts'
import type { FieldSchema } from '../schema/model.ts'
import { sameJson } from '../base/json.ts'
import { readSpecial } from '../schema/special.ts'
import type { Report } from './report.ts'

type Fields = Record<string, unknown>

/** What `validateFields` reports of an object of the schema, which is nearly always nothing. */
export function validateObject(report: Report, kind: string, object: Fields): void {
  const isPlain = plainCheck(kind)
  if (isPlain !== undefined && !isPlain(object)) validateFields(report, kind, object)
}

/**
 * Fields that only the control plane writes (uid, …) are its own affair and not looked at; of a status see status.ts.
 */
export function validateFields(report: Report, message: string, fields: Fields, path = ''): void {
  for (const field of jsonFields(message).values()) {
    if (field.options.readOnly === true) continue
    const value = fields[field.name]
    if (isMissing(field, value)) report.missing(fieldPath(path, field.name))
    else if (value !== undefined) validateField(report, field, value, fieldPath(path, field.name))
  }
}

function isMissing({ label, options }: FieldSchema, value: unknown): boolean {
  if (options.required !== true) return false
  return value === undefined || value === '' || (label !== 'optional' && Object.keys(value as object).length === 0)
}

function validateField(report: Report, field: FieldSchema, value: unknown, path: string): void {
  const { unsupported, mergeKey, repeats } = field.options
  if (unsupported !== undefined && !isInert(field, value)) {
    report.refused(path, unsupportedMessage(unsupported), unsupportedRemedy(field))
    return
  }
  switch (field.label) {
    case 'optional':
      validateValue(report, field, value, path)
      break
    case 'repeated':
      ;(value as unknown[]).forEach((item, index) => validateValue(report, field, item, entryPath(path, index)))
      if (mergeKey !== undefined && repeats !== true)
        validateUnique(report, field.type, mergeKey, value as Fields[], path)
      break
    case 'map':
      for (const [key, item] of Object.entries(value as Fields))
        validateEntry(report, field, key, item, entryPath(path, key))
  }
}

function validateEntry(report: Report, field: FieldSchema, key: string, value: unknown, path: string): void {
  const flaw = keyFlaw(field, key)
  if (flaw !== undefined) report.refused(path, keyMessage(flaw), flaw.remedy, 'FieldValueInvalid')
  validateValue(report, field, value, path)
}

function validateValue(report: Report, field: FieldSchema, value: unknown, path: string): void {
  if (field.kind === 'message' && !SPECIAL_MESSAGES.has(field.type))
    return validateFields(report, field.type, value as Fields, path)
  if (typeof value !== 'string' && typeof value !== 'number') return
  const special = field.kind === 'message' ? readSpecial(field.type, value) : undefined
  const flaw = special !== undefined && 'message' in special ? special : valueFlaw(field, value)
  if (flaw !== undefined)
    report.wrong(path, field.options.secret === true ? '(secret)' : value, flaw.message, flaw.remedy, flaw.reason)
}

function validateUnique(
  report: Report,
  message: string,
  keys: readonly string[],
  items: readonly Fields[],
  path: string,
): void {
  const seen = new Map<string, number>()
  const fields = jsonFields(message)
  items.forEach((item, index) => {
    const key = keys.map((name) => item[name] ?? fields.get(name)?.options.default ?? '')
    const first = seen.get(key.join('\n'))
    if (first === undefined) return void seen.set(key.join('\n'), index)
    const what = keys.map((name, position) => `${name} ${showValue(key[position])}`).join(' and ')
    report.refused(
      duplicateField(entryPath(path, index), keys),
      `is the second item with ${what}`,
      `the first is ${entryPath(path, first)}; keep one`,
      'FieldValueDuplicate',
    )
  })
}

/** Reports fields with the option `frozen` that differ. */
export function validateFrozen(report: Report, message: string, next: Fields, previous: Fields, path = ''): void {
  for (const { name, options, kind, type, label } of jsonFields(message).values()) {
    if (options.readOnly === true || next[name] === previous[name]) continue
    const at = fieldPath(path, name)
    if (options.frozen === true && !sameJson(next[name], previous[name]))
      report.immutable(at, options.secret === true ? undefined : next[name], 'delete the object and create it anew')
    else if (
      options.frozen !== true &&
      kind === 'message' &&
      label === 'optional' &&
      !SPECIAL_MESSAGES.has(type) &&
      next[name] !== undefined &&
      previous[name] !== undefined
    ) {
      validateFrozen(report, type, next[name] as Fields, previous[name] as Fields, at)
    }
  }
}
