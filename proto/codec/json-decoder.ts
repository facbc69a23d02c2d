/** JSON values to objects, strictly: the walk down the messages, which notes every problem at its path. */
import type { JsonObject, JsonValue, Kind } from '../gen/types.ts'
import {
  duplicateField,
  isBlank,
  isInert,
  keyFlaw,
  keyMessage,
  unsupportedMessage,
  unsupportedRemedy,
  valueFlaw,
} from '../schema/field-rules.ts'
import type { Flaw } from '../base/format.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import { SCHEMA_KINDS, type KnownKinds } from '../schema/kind-registry.ts'
import { findAnyKind } from '../schema/kinds.ts'
import { nearest } from '../base/nearest.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { type CauseType, problem, type Problem, showValue, MAX_REPORTED_PROBLEMS } from '../base/problem.ts'
import { schema, SPECIAL_MESSAGES } from '../schema/schema.ts'
import type { FieldSchema } from '../schema/model.ts'
import { readSpecial } from '../schema/special.ts'
import { fill, isUnset, jsonFields, type Fields } from './json-fields.ts'

export interface DecodeOptions {
  /**
   * Leave out what only the control plane writes (status, uid, …), as is done with what a user sends. It must be well
   * formed nevertheless.
   */
  readonly dropReadOnly?: boolean
  /** The text that a scalar was written with, by path: so that a remedy can show 1.10 and not 1.1. */
  readonly sourceText?: (path: string) => string | undefined
  /** Accept keys that come twice in lists where the API accepts them (the option `repeats`). */
  readonly allowDuplicateKeys?: boolean
  /** Where kinds are looked up; those of the schema if not given. A kind that is asked for by name needs no look. */
  readonly kinds?: KnownKinds
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What kind of thing a value is, for a message about one of the wrong kind. */
function typeOf(value: JsonValue): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  switch (typeof value) {
    case 'object':
      return 'an object'
    case 'number':
      return 'a number'
    case 'boolean':
      return 'a boolean'
    // JSON and YAML have no more types than these and text.
    case 'bigint':
    case 'function':
    case 'symbol':
    case 'undefined':
    case 'string':
      return 'a string'
  }
}

const INTEGERS: Record<string, readonly [number, number]> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint64: [0, Number.MAX_SAFE_INTEGER],
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** The kinds of the schema and the one that is wanted. */
function schemaKindsAnd(wanted: Kind | undefined): Pick<KnownKinds, 'find' | 'resources'> {
  const custom = wanted === undefined ? undefined : customKinds.get(wanted)
  if (custom === undefined) return SCHEMA_KINDS
  return { find: SCHEMA_KINDS.find.bind(SCHEMA_KINDS), resources: () => [...SCHEMA_KINDS.resources(), custom.resource] }
}

/** Reads one value; what is wrong with it is in `problems` then. */
export class Decoder {
  readonly problems: Problem[] = []
  readonly #options: DecodeOptions
  /** Set while a secret's value is read: no message may show it. */
  #secret = false
  /**
   * Set while something is read that only the control plane writes: what is stored already must not stand in the way of
   * another change, and what is written is judged as such (validateStatus).
   */
  #readOnly = false

  constructor(options: DecodeOptions) {
    this.#options = options
  }

  #wrong(path: string, value: JsonValue, message: string, remedy = '', reason?: CauseType): undefined {
    this.problems.push(
      problem(path, message, {
        value: this.#secret ? '(secret)' : showValue(value),
        remedy,
        ...(reason !== undefined && { reason }),
      }),
    )
    return undefined
  }

  #mistyped(path: string, value: JsonValue, needed: string, remedy = ''): undefined {
    const shown =
      typeof value === 'object' || this.#secret
        ? `is ${typeOf(value)}`
        : `${this.#written(path) ?? showValue(value)} is ${typeOf(value)}`
    this.problems.push(problem(path, `${shown}, ${needed} is needed`, { remedy, reason: 'FieldValueTypeInvalid' }))
    return undefined
  }

  /** As it was written, if that fits into a message. */
  #written(path: string): string | undefined {
    const text = this.#options.sourceText?.(path)
    return text !== undefined && /^[\x20-\x7e]{1,60}$/.test(text) ? text : undefined
  }

  kindOf(wanted: Kind | undefined, value: JsonValue): Kind | undefined {
    if (!isObject(value)) return this.#mistyped('', value, 'an object')
    const { apiVersion = null, kind = null } = value
    if (wanted !== undefined && kind === null && apiVersion === null) return wanted
    for (const [name, item] of Object.entries({ apiVersion, kind })) {
      if (item === null)
        this.problems.push(
          problem('', `${name} is missing`, {
            remedy:
              name === 'kind'
                ? 'say what it is, such as kind: Pod'
                : 'say the group and version, such as apiVersion: v1',
          }),
        )
      else if (typeof item !== 'string') this.#mistyped(name, item, 'a string')
    }
    if (typeof apiVersion !== 'string' || typeof kind !== 'string') return undefined
    // In memory an object may be of a version that is not served.
    if (wanted !== undefined && customKinds.isVersion(wanted, apiVersion, kind)) return wanted
    const found = findAnyKind(apiVersion, kind, this.#options.kinds ?? schemaKindsAnd(wanted))
    if ('problem' in found) return void this.problems.push(found.problem)
    if (wanted !== undefined && found.kind !== wanted)
      return this.#wrong('kind', kind, `is not the kind asked for, ${wanted}`)
    return found.kind
  }

  message(name: string, value: JsonValue, path: string, top = false): Fields | undefined {
    if (!isObject(value)) return this.#mistyped(path, value, 'an object')
    const fields = jsonFields(name)
    const into: Fields = {}
    for (const [key, item] of Object.entries(value)) {
      if (top && (key === 'apiVersion' || key === 'kind')) continue
      const field = fields.get(key)
      const at = fieldPath(path, key)
      if (field === undefined) this.#unknown(key, at, name, fields)
      else if (item !== null) this.#field(field, item, at, into)
    }
    return fill(name, into)
  }

  #unknown(key: string, path: string, message: string, fields: ReadonlyMap<string, FieldSchema>): void {
    const meant = this.problems.length < MAX_REPORTED_PROBLEMS ? nearest(key, fields.keys()) : undefined
    const names = [...fields.keys()].join(', ')
    const remedy =
      meant !== undefined
        ? `did you mean ${meant}?`
        : fields.size === 0
          ? ''
          : names.length <= 80
            ? `known here: ${names}`
            : `see the fields of ${message} with "gantry explain"`
    this.problems.push(problem(path, 'unknown field', { key: true, unknownOrDuplicate: true, remedy }))
  }

  #field(field: FieldSchema, value: JsonValue, path: string, into: Fields): void {
    const { unsupported, readOnly } = field.options
    if (isBlank(field, value) || isUnset(field, value)) return
    if (unsupported !== undefined && !this.#accepts(field, value, path, unsupported)) return
    const outside = this.#readOnly
    this.#readOnly ||= readOnly === true
    const decoded =
      field.label === 'map'
        ? this.#map(field, value, path)
        : field.label === 'repeated'
          ? this.#list(field, value, path)
          : this.#value(field, value, path)
    this.#readOnly = outside
    if (decoded !== undefined && !(readOnly === true && this.#options.dropReadOnly === true)) into[field.name] = decoded
  }

  /**
   * False for a value that asks for what is not acted on; one that Kubernetes would not take either goes on to be
   * refused as that.
   */
  #accepts(field: FieldSchema, value: JsonValue, path: string, reason: string): boolean {
    const known = field.options.enum?.includes(String(value)) !== false
    if (!known || isInert(field, value)) return true
    this.problems.push(
      problem(path, unsupportedMessage(reason), { key: true, unsupported: true, remedy: unsupportedRemedy(field) }),
    )
    return false
  }

  #map(field: FieldSchema, value: JsonValue, path: string): Fields | undefined {
    if (!isObject(value)) {
      this.#secret = field.options.secret === true
      this.#mistyped(
        path,
        value,
        'a map of keys and values',
        typeof value === 'string' ? 'cannot restore map from string' : '',
      )
      this.#secret = false
      return undefined
    }
    const into: Fields = {}
    for (const [key, item] of Object.entries(value)) {
      const at = entryPath(path, key)
      const flaw: Flaw | undefined =
        key === '__proto__'
          ? { message: 'is a reserved name', remedy: 'choose another key' }
          : this.#readOnly
            ? undefined
            : keyFlaw(field, key)
      if (flaw !== undefined)
        this.problems.push(
          problem(at, keyMessage(flaw), { key: true, unsupported: flaw.unsupported === true, remedy: flaw.remedy }),
        )
      const decoded =
        item === null && field.kind === 'scalar' && field.type === 'string' ? '' : this.#value(field, item, at)
      if (decoded !== undefined && flaw === undefined) into[key] = decoded
    }
    return Object.keys(into).length === 0 ? undefined : into
  }

  #list(field: FieldSchema, value: JsonValue, path: string): unknown[] | undefined {
    if (!Array.isArray(value)) return this.#mistyped(path, value, 'a list', 'begin each item with "- "')
    const items = value.map((item, index) => this.#value(field, item, entryPath(path, index)))
    const { mergeKey, repeats } = field.options
    const mayRepeat = repeats === true && this.#options.allowDuplicateKeys === true
    if (mergeKey !== undefined && !mayRepeat && !this.#readOnly)
      this.#refuseDuplicates(field.type, mergeKey, items, path)
    return items.length === 0 ? undefined : items
  }

  /** A list that is merged by key may not hold a key twice: one of the two would be lost. */
  #refuseDuplicates(type: string, keys: readonly string[], items: readonly unknown[], path: string): void {
    const fields = jsonFields(type)
    const seen = new Map<string, number>()
    items.forEach((item, index) => {
      const key = keys.map((name) => (item as Fields | undefined)?.[name] ?? fields.get(name)?.options.default)
      if (key.includes(undefined)) return
      const text = key.join('\n')
      const first = seen.get(text)
      if (first === undefined) return void seen.set(text, index)
      const what = keys.map((name, position) => `${name} ${showValue(key[position])}`).join(' and ')
      this.problems.push(
        problem(duplicateField(entryPath(path, index), keys), `is the second item with ${what}`, {
          remedy: `the first is ${entryPath(path, first)}; keep one`,
          reason: 'FieldValueDuplicate',
        }),
      )
    })
  }

  #value(field: FieldSchema, value: JsonValue, path: string): unknown {
    this.#secret = field.options.secret === true
    const decoded = this.#typed(field, value, path)
    const flaw =
      !this.#readOnly && (typeof decoded === 'string' || typeof decoded === 'number')
        ? valueFlaw(field, decoded)
        : undefined
    const result = flaw === undefined ? decoded : this.#wrong(path, value, flaw.message, flaw.remedy, flaw.reason)
    this.#secret = false
    return result
  }

  #typed(field: FieldSchema, value: JsonValue, path: string): unknown {
    if (field.kind === 'message' && !SPECIAL_MESSAGES.has(field.type)) return this.message(field.type, value, path)
    if (field.kind === 'message') {
      const schemas = this.#schemas(field.type, value, path)
      if (schemas !== undefined) return schemas
      const read = readSpecial(field.type, value)
      if ('value' in read) return read.value
      return read.mistyped === true
        ? this.#mistyped(path, value, read.message, read.remedy)
        : this.#wrong(path, value, read.message, read.remedy, 'FieldValueTypeInvalid')
    }
    if (field.kind === 'enum') return this.#enum(field.type, value, path)
    switch (field.type) {
      case 'string':
        return typeof value === 'string' ? value : this.#needsString(value, path)
      case 'bool':
        return typeof value === 'boolean'
          ? value
          : this.#mistyped(path, value, 'a boolean', 'write true or false, without quotes')
      case 'bytes':
        return this.#base64(value, path)
      case 'double':
      case 'float':
        return typeof value === 'number' ? value : this.#mistyped(path, value, 'a number')
      default:
        return this.#integer(field.type, value, path)
    }
  }

  /** A JSON schema where something else may stand in its place; undefined if that is so. */
  #schemas(type: string, value: JsonValue, path: string): unknown {
    switch (type) {
      case 'JSONSchemaPropsOrBool':
        return typeof value === 'boolean' ? value : this.message('JSONSchemaProps', value, path)
      case 'JSONSchemaPropsOrArray':
        return Array.isArray(value)
          ? value.map((item, index) => this.message('JSONSchemaProps', item, entryPath(path, index)))
          : this.message('JSONSchemaProps', value, path)
      case 'JSONSchemaPropsOrStringArray':
        return Array.isArray(value) && value.every((item) => typeof item === 'string')
          ? value
          : this.message('JSONSchemaProps', value, path)
      default:
        return undefined
    }
  }

  #needsString(value: JsonValue, path: string): undefined {
    if (typeof value === 'object') return this.#mistyped(path, value, 'a string')
    return this.#mistyped(
      path,
      value,
      'a string',
      this.#secret ? 'write it in quotes' : `write it in quotes: "${this.#written(path) ?? String(value)}"`,
    )
  }

  #integer(type: string, value: JsonValue, path: string): number | undefined {
    const [least, most] = INTEGERS[type]!
    if (typeof value === 'string' && /^-?\d+$/.test(value))
      return this.#mistyped(path, value, 'a whole number', `write it without quotes: ${value}`)
    if (typeof value !== 'number') return this.#mistyped(path, value, 'a whole number')
    if (!Number.isInteger(value)) return this.#wrong(path, value, 'is not a whole number')
    return value >= least && value <= most
      ? value
      : this.#wrong(path, value, 'is out of range', `give a number from ${least} to ${most}`)
  }

  #enum(type: string, value: JsonValue, path: string): string | undefined {
    const names = Object.keys(schema.enums[type]!.values)
    return typeof value === 'string' && names.includes(value)
      ? value
      : this.#wrong(path, value, 'is not one of the values allowed', `use ${names.join(', ')}`)
  }

  #base64(value: JsonValue, path: string): string | undefined {
    if (typeof value !== 'string') return this.#needsString(value, path)
    const text = value.replace(/[\r\n]/g, '')
    if (BASE64.test(text)) return text
    return this.#wrong(
      path,
      value,
      'is not base64: illegal base64 data',
      `encode it, or put plain text under ${this.#secret ? 'stringData' : 'data'}`,
      'FieldValueTypeInvalid',
    )
  }
}
