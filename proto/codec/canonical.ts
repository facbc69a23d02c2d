/**
 * Objects in the form that decoding their stored bytes gives them: what is empty is absent, what is never undefined is
 * there, keys of maps are in order, times are whole seconds. Whoever has the object whose bytes they are has what
 * decoding would make of them by a walk over it, for a fraction of the price.
 */
import type { Kind, Resources } from '../gen/types.ts'
import { sameJson } from '../base/json.ts'
import { formatDuration, formatTime, parseDuration, parseTime } from '../base/time.ts'
import type { FieldSchema } from '../schema/model.ts'
import { apiVersionOf, messageSchema, resourceOf, schema, SPECIAL_MESSAGES } from '../schema/schema.ts'
import { decodeResource, encodeObject } from './wire.ts'

type Fields = Record<string, unknown>

/**
 * A value in that form; undefined for one that is not stored. `known`: one that is in that form already; it is the
 * result where the value is the same.
 */
type Copy = (value: unknown, known: unknown) => unknown

/** Puts a field of a message into its copy; true if that is as in `known`. */
type Step = (from: Fields, known: Fields, into: Fields) => boolean

interface MessagePlan {
  readonly steps: readonly Step[]
  /** Those of what is never undefined. */
  readonly fillers: readonly ((into: Fields) => void)[]
}

/** Thrown for a value that has not the type of its field: what it becomes is for its bytes to tell. */
const NOT_OF_ITS_TYPE = new Error('a value has not the type of its field')
const NOTHING: Fields = Object.freeze({})
const INT32 = 2 ** 31
/** Times that are remembered: those of one moment are the same. */
const MAX_TIMES = 500

/**
 * What decodeResource makes of the object's bytes, with the resourceVersion that the object has. Values that are
 * FieldsV1 are shared with the object. `known`, if given, is an object that is in this form, such as one of the watch
 * cache: what is the same is shared with it. So nothing of the result may be changed.
 */
export function canonicalResource<K extends Kind>(object: Resources[K], known?: Resources[K]): Resources[K] {
  const kind = object.kind as K
  if (kind in schema.messages) {
    try {
      const fields: Fields = { apiVersion: apiVersionOf(resourceOf(kind)), kind }
      copyFields(planOf(kind), object as never, (known ?? NOTHING) as Fields, fields)
      return fields as unknown as Resources[K]
    } catch (thrown) {
      if (thrown !== NOT_OF_ITS_TYPE) throw thrown
    }
  }
  return decodeResource(kind, encodeObject(object))
}

const plans = new Map<string, MessagePlan>()

function planOf(message: string): MessagePlan {
  let plan = plans.get(message)
  if (plan === undefined) {
    const { fields } = messageSchema(message)
    plan = { steps: fields.map(stepOf), fillers: fields.flatMap((field) => fillerOf(field) ?? []) }
    plans.set(message, plan)
  }
  return plan
}

function copyFields({ steps }: MessagePlan, from: Fields, known: Fields, into: Fields): boolean {
  let same = true
  for (const step of steps) if (!step(from, known, into)) same = false
  return same
}

function stepOf(field: FieldSchema): Step {
  const { name, label, options, type } = field
  if (options.inline === true) {
    let plan: MessagePlan | undefined
    return (from, known, into) => copyFields((plan ??= planOf(type)), from, known, into)
  }
  const copy = fieldCopy(field)
  const fill = fillerOf(field)
  return (from, known, into) => {
    const before = known[name]
    const value = from[name]
    const after = value === undefined || value === null ? undefined : copy(value, before)
    if (after !== undefined) into[name] = after
    else if (fill !== undefined) {
      if (label !== 'optional' && Array.isArray(before) && before.length === 0) into[name] = before
      else fill(into)
    }
    return into[name] === before
  }
}

/** What a field is that is never undefined, where the object does not have it. */
function fillerOf({
  name,
  kind,
  type,
  label,
  implicit,
  options,
  oneof,
}: FieldSchema): ((into: Fields) => void) | undefined {
  if (oneof !== undefined || options.inline === true) return undefined
  if (label !== 'optional') {
    if (!implicit && options.required !== true) return undefined
    return (into) => void (into[name] = label === 'map' ? {} : [])
  }
  if (options.always !== true && (!implicit || kind === 'message')) return undefined
  if (kind === 'message') {
    return (into) => {
      const empty: Fields = {}
      for (const fill of planOf(type).fillers) fill(empty)
      into[name] = empty
    }
  }
  const zero = kind === 'enum' ? enumNames(type).first : ZEROS[type]
  return (into) => void (into[name] = zero)
}

function fieldCopy(field: FieldSchema): Copy {
  const copy = field.oneof === undefined ? valueCopy(field) : refuse
  switch (field.label) {
    case 'optional':
      return copy
    case 'repeated':
      return (value, known) => copyList(copy, value as readonly unknown[], known as readonly unknown[] | undefined)
    case 'map':
      return (value, known) => copyMap(copy, value as Fields, known as Fields | undefined)
  }
}

/** An empty list is not stored. */
function copyList(
  copy: Copy,
  list: readonly unknown[],
  known: readonly unknown[] | undefined,
): readonly unknown[] | undefined {
  if (list === known || list.length === 0) return list.length === 0 ? undefined : list
  let same = known?.length === list.length
  const items = list.map((item, index) => {
    const before = known?.[index]
    const after = copy(item, before)
    if (after !== before) same = false
    return after
  })
  return same ? known : items
}

/** An empty map is not stored either. */
function copyMap(copy: Copy, map: Fields, known: Fields | undefined): Fields | undefined {
  const keys = Object.keys(map)
  if (keys.length === 0) return undefined
  if (map === known) return map
  keys.sort()
  let same = known !== undefined && Object.keys(known).length === keys.length
  const into: Fields = {}
  for (const key of keys) {
    const before = known !== undefined && Object.hasOwn(known, key) ? known[key] : undefined
    if (key === '__proto__' || text(key) !== key) throw NOT_OF_ITS_TYPE
    const after = copy(map[key], before)
    if (after !== before) same = false
    into[key] = after
  }
  return same ? known : into
}

function valueCopy({ kind, type, options }: FieldSchema): Copy {
  if (kind === 'enum') {
    const { names, first } = enumNames(type)
    return (value) => names.get(value as string) ?? first ?? refuse()
  }
  if (kind === 'scalar') return (type === 'bytes' && options.base64 === true ? base64 : SCALARS[type]) ?? refuse
  if (SPECIAL_MESSAGES.has(type)) return SPECIALS[type] ?? refuse
  let plan: MessagePlan | undefined
  return (value, known) => {
    if (value === known) return value
    if (typeof value !== 'object' || value === null) throw NOT_OF_ITS_TYPE
    const into: Fields = {}
    const same = copyFields((plan ??= planOf(type)), value as Fields, (known as Fields | undefined) ?? NOTHING, into)
    return same && known !== undefined ? known : into
  }
}

/** The names that values of an enum are read as, and that of 0. */
function enumNames(type: string): { readonly names: ReadonlyMap<string, string>; readonly first: string | undefined } {
  const { values } = schema.enums[type]!
  const read = new Map(Object.entries(values).map(([name, value]) => [value, name]))
  return { names: new Map(Object.entries(values).map(([name, value]) => [name, read.get(value)!])), first: read.get(0) }
}

const ZEROS: Readonly<Record<string, unknown>> = {
  string: '',
  bytes: '',
  bool: false,
  int32: 0,
  uint32: 0,
  int64: 0,
  uint64: 0,
  double: 0,
  float: 0,
}

const SCALARS: Readonly<Record<string, Copy>> = {
  string: text,
  bool: (value) => (typeof value === 'boolean' ? value : refuse()),
  int32,
  int64: (value) => (Number.isSafeInteger(value) ? (value as number) + 0 : refuse()),
  double: (value) => (typeof value === 'number' ? value : refuse()),
}

const SPECIALS: Readonly<Record<string, Copy>> = {
  Quantity: text,
  Time: remembered((value) => formatTime(Math.floor(parseTime(value) / 1000) * 1000)),
  MicroTime: remembered((value) => {
    const micros = /\.(\d{1,6})/.exec(value)?.[1]?.padEnd(6, '0') ?? '000000'
    return formatTime(Math.floor(parseTime(value) / 1000) * 1000).replace('Z', `.${micros}Z`)
  }),
  Duration: remembered((value) => formatDuration(Math.round((parseDuration(value) ?? 0) * 1e6) / 1e6)),
  IntOrString: (value) => (typeof value === 'string' ? text(value) : int32(value)),
  FieldsV1: (value, known) => (known !== undefined && sameJson(value, known) ? known : value),
  ExtraValue: (value) => (value as unknown[]).map(text),
}

function refuse(): never {
  throw NOT_OF_ITS_TYPE
}

/** Half of a character is stored as the sign for what is none. */
function text(value: unknown): string {
  if (typeof value !== 'string') throw NOT_OF_ITS_TYPE
  return (value as WellFormed).isWellFormed() ? value : (value as WellFormed).toWellFormed()
}

/** Newer than the language that the compiler is told of. */
type WellFormed = string & { isWellFormed(): boolean; toWellFormed(): string }

function int32(value: unknown): number {
  if (!Number.isInteger(value) || (value as number) >= INT32 || (value as number) < -INT32) throw NOT_OF_ITS_TYPE
  return (value as number) + 0
}

function base64(value: unknown): string {
  if (typeof value !== 'string') throw NOT_OF_ITS_TYPE
  return Buffer.from(value, 'base64').toString('base64')
}

/** The same values come again and again. */
function remembered(canonical: (value: string) => string): Copy {
  const known = new Map<string, string>()
  return (value) => {
    let found = known.get(value as string)
    if (found === undefined) {
      if (typeof value !== 'string') throw NOT_OF_ITS_TYPE
      if (known.size >= MAX_TIMES) known.clear()
      known.set(value, (found = canonical(value)))
    }
    return found
  }
}
