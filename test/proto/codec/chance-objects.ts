/**
 * Objects in memory by chance, as any part of the program may have made them: with fields that are undefined, null,
 * empty or zero, keys in any order, times with fractions.
 */
import fc from 'fast-check'
import { schema, messageSchema, SPECIAL_MESSAGES } from '../../../proto/schema/schema.ts'
import type { FieldSchema } from '../../../proto/schema/model.ts'
import type { Kind, Resources } from '../../../proto/gen/types.ts'

const DEPTH = 7
const text = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'main', 'b/c', '\ud800x', 'é😀', '"'),
  fc.string({ unit: fc.constantFrom('a', 'b', '1', '-'), maxLength: 3 }),
)
const time = fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-01T00:00:00.25Z', '2025-12-31T23:59:59.999+02:00')
const integer = fc.constantFrom(0, -0, 1, 80, -1, 2 ** 31 - 1)

const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: text,
  bool: fc.boolean(),
  bytes: fc.constantFrom('', 'YQ==', 'YWI', 'YWJj'),
  int32: integer,
  int64: fc.oneof(integer, fc.constant(Number.MAX_SAFE_INTEGER)),
  double: fc.constantFrom(0, 0.5, -2),
}

const json = fc.constantFrom<unknown>({ a: [1, null] }, 'x', true)
const SPECIALS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  Quantity: fc.constantFrom('100m', '1', '2Gi', ''),
  Time: time,
  MicroTime: fc.oneof(time, fc.constant('2026-01-01T00:00:00.000007Z')),
  Duration: fc.constantFrom('1m30s', '0s', '1.5s', '90s'),
  IntOrString: fc.constantFrom<unknown>(0, 80, 'http', ''),
  FieldsV1: fc.constantFrom({}, { 'f:spec': { 'f:replicas': {} } }),
  ExtraValue: fc.array(text, { maxLength: 2 }),
  JSON: json,
  JSONSchemaPropsOrArray: fc.constantFrom<unknown>({ type: 'string' }, [{ type: 'string' }]),
  JSONSchemaPropsOrBool: fc.constantFrom<unknown>(true, false, { type: 'string' }),
  JSONSchemaPropsOrStringArray: fc.constantFrom<unknown>(['a'], { type: 'string' }),
}

const made = new Map<string, fc.Arbitrary<object>>()

/** An object of a kind of the schema. Its apiVersion and kind are right; nothing else need be. */
export function chanceObject<K extends Kind>(kind: K): fc.Arbitrary<Resources[K]> {
  return fc.tuple(message(kind, DEPTH), fc.boolean()).map(([fields, isLate]) => {
    const { metadata = {} } = fields as { metadata?: object | null }
    const object = { ...fields, metadata: metadata ?? {} }
    return (isLate ? { ...object, kind } : { kind, ...object }) as unknown as Resources[K]
  })
}

/** Two objects of a kind that have much in common: the second is the first with some of a third. */
export function chancePair<K extends Kind>(kind: K): fc.Arbitrary<readonly [Resources[K], Resources[K]]> {
  return fc
    .tuple(chanceObject(kind), chanceObject(kind), fc.infiniteStream(fc.integer({ min: 0, max: 9 })))
    .map(([one, other, dice]) => [one, mixed(one, other, dice) as Resources[K]])
}

function mixed(one: unknown, other: unknown, dice: Iterator<number>): unknown {
  const roll = dice.next().value as number
  if (roll === 0) return structuredClone(other)
  if (!isPlain(one) || !isPlain(other)) return roll < 3 ? structuredClone(other) : roll < 6 ? one : structuredClone(one)
  const result: Record<string, unknown> = {}
  for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) {
    const part = mixed(one[name], other[name], dice)
    if (part !== undefined) result[name] = part
  }
  return {
    ...result,
    ...('kind' in one && { kind: one.kind }),
    ...('metadata' in one && { metadata: result.metadata ?? {} }),
  }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function message(name: string, depth: number): fc.Arbitrary<object> {
  const key = `${name} ${depth}`
  let arbitrary = made.get(key)
  if (arbitrary === undefined) {
    const model: Record<string, fc.Arbitrary<unknown>> = {}
    addFields(name, depth, model)
    made.set(key, (arbitrary = fc.record(model, { noNullPrototype: true }).chain(shuffled)))
  }
  return arbitrary
}

/** Some of the fields, in some order. */
function shuffled(fields: object): fc.Arbitrary<object> {
  const set = Object.entries(fields).filter(([, value]) => value !== LEFT_OUT)
  return fc.boolean().map((isReverse) => Object.fromEntries(isReverse ? set.reverse() : set))
}

const LEFT_OUT = Symbol('left out')

function addFields(name: string, depth: number, model: Record<string, fc.Arbitrary<unknown>>): void {
  for (const field of messageSchema(name).fields) {
    if (field.options.inline === true) {
      addFields(field.type, depth, model)
      continue
    }
    const value = fieldValue(field, depth)
    const isNeeded = field.options.mergeKey !== undefined || field.type === 'ObjectMeta' || depth >= DEPTH - 1
    model[field.name] = fc.oneof(
      {
        weight: isNeeded ? 3 : 8 + 4 * (DEPTH - depth),
        arbitrary:
          field.label === 'map'
            ? fc.constantFrom(LEFT_OUT, undefined)
            : fc.constantFrom(LEFT_OUT, LEFT_OUT, undefined, null),
      },
      { weight: 5, arbitrary: value },
    )
  }
}

function fieldValue(field: FieldSchema, depth: number): fc.Arbitrary<unknown> {
  const one = oneValue(field, depth)
  switch (field.label) {
    case 'optional':
      return one
    case 'repeated':
      return fc.array(one, { maxLength: 2 })
    case 'map':
      return fc.dictionary(text, one, { maxKeys: 2, noNullPrototype: true })
  }
}

function oneValue({ kind, type }: FieldSchema, depth: number): fc.Arbitrary<unknown> {
  if (kind === 'enum') return fc.constantFrom(...Object.keys(schema.enums[type]!.values))
  if (kind === 'scalar') return SCALARS[type]!
  if (SPECIAL_MESSAGES.has(type)) return SPECIALS[type]!
  return depth <= 1 ? fc.constant({}) : message(type, depth - 1)
}
