/**
 * Messages that are one value in memory, as fields of their protobuf message and back. Bytes in which JSON stands are
 * its value in these fields.
 */
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { formatDuration, formatTime, parseDuration, parseTime } from '../base/time.ts'

interface Timestamp {
  readonly seconds?: number | undefined
  readonly nanos?: number | undefined
}

export function fieldsOfQuantity(value: string): object {
  return { string: value }
}

export function valueOfQuantity({ string = '' }: { string?: string }): string {
  return string
}

export function fieldsOfTime(value: string): object {
  return { seconds: Math.floor(parseTime(value) / 1000) }
}

export function valueOfTime({ seconds = 0 }: Timestamp): string {
  return formatTime(seconds * 1000)
}

export function fieldsOfMicroTime(value: string): object {
  const micros = Number(/\.(\d{1,6})/.exec(value)?.[1]?.padEnd(6, '0') ?? 0)
  return { seconds: Math.floor(parseTime(value) / 1000), nanos: micros * 1000 }
}

export function valueOfMicroTime({ seconds = 0, nanos = 0 }: Timestamp): string {
  return formatTime(seconds * 1000).replace('Z', `.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`)
}

export function fieldsOfDuration(value: string): object {
  return { duration: Math.round((parseDuration(value) ?? 0) * 1e6) }
}

export function valueOfDuration({ duration = 0 }: { duration?: number }): string {
  return formatDuration(duration / 1e6)
}

export function fieldsOfIntOrString(value: number | string): object {
  return typeof value === 'number' ? { type: 0, intVal: value, strVal: '' } : { type: 1, intVal: 0, strVal: value }
}

export function valueOfIntOrString({
  type,
  intVal = 0,
  strVal = '',
}: {
  type?: number
  intVal?: number
  strVal?: string
}): number | string {
  return type === 1 ? strVal : intVal
}

export function fieldsOfFieldsV1(value: JsonObject): object {
  return { Raw: value }
}

export function valueOfFieldsV1({ Raw = {} }: { Raw?: JsonObject }): JsonObject {
  return Raw
}

export function fieldsOfExtraValue(value: readonly string[]): object {
  return { items: value }
}

export function valueOfExtraValue({ items = [] }: { items?: string[] }): string[] {
  return items
}

export function fieldsOfJSON(value: JsonValue): object {
  return { raw: value }
}

export function valueOfJSON({ raw = null }: { raw?: JsonValue }): JsonValue {
  return raw
}

export function fieldsOfJSONSchemaPropsOrArray(value: object): object {
  return Array.isArray(value) ? { jSONSchemas: value } : { schema: value }
}

export function valueOfJSONSchemaPropsOrArray({
  schema = {},
  jSONSchemas = schema,
}: {
  schema?: object
  jSONSchemas?: object
}): object {
  return jSONSchemas
}

export function fieldsOfJSONSchemaPropsOrBool(value: object | boolean): object {
  return typeof value === 'boolean' ? { allows: value } : { allows: true, schema: value }
}

export function valueOfJSONSchemaPropsOrBool({
  allows = false,
  schema = allows,
}: {
  allows?: boolean
  schema?: object | boolean
}): object | boolean {
  return schema
}

export function fieldsOfJSONSchemaPropsOrStringArray(value: object): object {
  return Array.isArray(value) ? { property: value } : { schema: value }
}

export function valueOfJSONSchemaPropsOrStringArray({
  schema = [],
  property = schema,
}: {
  schema?: object
  property?: object
}): object {
  return property
}
