/**
 * The types that the values of a schema have in CEL, and how a value comes to be of its type.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
 */
import { Duration } from '@marcbachmann/cel-js/evaluator'
import { itemSchema } from '../../../proto/schema/custom/coerce.ts'
import { CEL_RESERVED_WORDS } from '../../../proto/base/cel-words.ts'
import { isObject } from '../../../proto/base/json.ts'
import type { JSONSchemaProps, JsonValue } from '../../../proto/gen/types.ts'
import { equal } from '../library/lists.ts'
import { compile, type CelType } from '../program.ts'

export interface ValueType {
  /** As CEL calls it. */
  readonly name: string
  convert(value: JsonValue): unknown
}

/** What a field is called in CEL, where not every name is an identifier; undefined for one that cannot be reached. */
function escapedName(name: string): string | undefined {
  if (!/^[A-Za-z_./-][A-Za-z0-9_./-]*$/.test(name)) return undefined
  if (CEL_RESERVED_WORDS.has(name)) return `__${name}__`
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__')
}

const DYN: ValueType = { name: 'dyn', convert: untyped }
const METADATA: JSONSchemaProps = {
  type: 'object',
  properties: { name: { type: 'string' }, generateName: { type: 'string' } },
}
const readDuration = compile('duration(text)', { text: 'string' })

/** What no schema describes: whole numbers are int, all others double. */
export function untyped(value: JsonValue): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value
  if (Array.isArray(value)) return value.map(untyped)
  if (!isObject(value)) return value
  return new Map(Object.entries(value).map(([name, part]) => [name, untyped(part)]))
}

export class SchemaTypes {
  /** Every type of objects that has been made. */
  readonly declared: CelType[] = []
  readonly #known = new Map<JSONSchemaProps, ValueType>()

  /** `whole`: an object with apiVersion, kind and metadata. */
  typeOf(schema: JSONSchemaProps, whole = schema['x-kubernetes-embedded-resource'] === true): ValueType {
    let type = this.#known.get(schema)
    if (type === undefined) this.#known.set(schema, (type = this.#make(schema, whole)))
    return type
  }

  #make(schema: JSONSchemaProps, whole: boolean): ValueType {
    if (schema['x-kubernetes-int-or-string'] === true) return DYN
    switch (schema.type) {
      case 'string':
        return textType(schema.format)
      case 'boolean':
        return { name: 'bool', convert: (value) => value }
      case 'integer':
        return {
          name: 'int',
          convert: (value) => (typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value),
        }
      case 'number':
        return { name: 'double', convert: (value) => value }
      case 'array':
        return this.#listType(schema)
      case 'object':
        return this.#objectType(schema, whole)
      case undefined:
      default:
        return DYN
    }
  }

  #listType(schema: JSONSchemaProps): ValueType {
    const items = itemSchema(schema)
    const item = items === undefined ? DYN : this.typeOf(items)
    const isSet = schema['x-kubernetes-list-type'] === 'set' && items?.type !== 'object' && items?.type !== 'array'
    // Two sets are equal in whatever order.
    return {
      name: `list<${item.name}>`,
      convert: (value) =>
        !Array.isArray(value)
          ? value
          : isSet
            ? new Set(value.map((part) => item.convert(part)))
            : value.map((part) => item.convert(part)),
    }
  }

  #objectType(schema: JSONSchemaProps, whole: boolean): ValueType {
    const { additionalProperties, properties } = schema
    if (properties === undefined && !whole) {
      if (typeof additionalProperties !== 'object') return DYN
      const value = this.typeOf(additionalProperties)
      return {
        name: `map<string, ${value.name}>`,
        convert: (object) =>
          isObject(object) ? new Map(Object.entries(object).map(([key, part]) => [key, value.convert(part)])) : object,
      }
    }
    const all: Record<string, JSONSchemaProps> = {
      ...properties,
      ...(whole && { apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: METADATA }),
    }
    const fields = Object.entries(all).flatMap(([name, property]) => {
      const escaped = escapedName(name)
      return escaped === undefined ? [] : [{ name, escaped, type: this.typeOf(property) }]
    })
    const constructor = class {}
    const name = `Object${this.declared.length}`
    this.declared.push({
      name,
      constructor,
      fields: Object.fromEntries(fields.map(({ escaped, type }) => [escaped, type.name])),
      equal,
    })
    return {
      name,
      convert(object) {
        if (!isObject(object)) return object
        const made = new constructor() as Record<string, unknown>
        // A null is as good as absent.
        for (const { name: field, escaped, type } of fields)
          if (Object.hasOwn(object, field) && object[field] !== null) made[escaped] = type.convert(object[field]!)
        return made
      },
    }
  }
}

function textType(format: string | undefined): ValueType {
  const of = (name: string, convert: (text: string) => unknown): ValueType => ({
    name,
    convert: (value) => (typeof value === 'string' ? convert(value) : value),
  })
  switch (format) {
    case 'date-time':
    case 'datetime':
    case 'date':
      return of('google.protobuf.Timestamp', (text) => new Date(text))
    case 'duration':
      return of('google.protobuf.Duration', (text) => readDuration.evaluate({ text }) as Duration)
    case 'byte':
      return of('bytes', (text) => Buffer.from(text, 'base64'))
    case undefined:
    default:
      return of('string', (text) => text)
  }
}
