/** Objects in memory of every message of the schema, made by chance. */
import fc from 'fast-check'
import { messageSchema, schema, SPECIAL_MESSAGES } from '../../../proto/schema/schema.ts'
import type { FieldSchema } from '../../../proto/schema/model.ts'
import type { formats } from '../../../proto/base/format.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'

export type Fields = Record<string, unknown>

/** Any values of the right types, or only those in which the options of the schema find no fault. */
export type Values = 'any' | 'allowed'

/** Levels of messages in each other. */
const DEPTH = 5
/** Fields of one message at most: all of a few kinds would have thousands. */
const FIELDS = 7

const word = fc.constantFrom('a', 'web', 'kubernetes.io/name', 'k:{"name":"web"}', 'x'.repeat(63), 'y'.repeat(70))
const text = fc.oneof(
  { weight: 3, arbitrary: word },
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ unit: 'binary', minLength: 60, maxLength: 70 }),
  fc.constantFrom('', '"\\\n', '\0', '\ud800', '__proto__', 'z'.repeat(300), 'é'.repeat(300)),
)
const keys = fc.oneof({ weight: 3, arbitrary: word }, text)
const int32 = fc.oneof(fc.constantFrom(0, 1, -1, 127, 128, 2 ** 31 - 1, -(2 ** 31)), fc.integer())
const large = fc.constantFrom(2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER)
const int64 = fc.oneof(int32, large, fc.maxSafeInteger())
const bytes = fc
  .oneof(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ minLength: 100, maxLength: 200 }))
  .map((made) => Buffer.from(made))
const base64 = bytes.map((made) => made.toString('base64'))

const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: text,
  bool: fc.boolean(),
  bytes,
  int32,
  uint32: fc.nat(0xffff_ffff),
  int64,
  uint64: fc.maxSafeNat(),
  double: fc.double({ noNaN: true, noDefaultInfinity: true }),
  float: fc.float({ noNaN: true, noDefaultInfinity: true }),
}

/** Values that each format allows. */
const FORMATS: Readonly<Record<keyof typeof formats, readonly (string | number)[]>> = {
  dnsLabel: ['a', 'web-1', 'x'.repeat(63)],
  dnsSubdomain: ['a', 'web.example.com'],
  labelKey: ['app', 'kubernetes.io/name', 'A_b.c'],
  labelValue: ['', 'a', 'V_1'],
  ownedName: ['example.com/a'],
  finalizer: ['kubernetes', 'example.com/a'],
  resourceName: ['cpu', 'memory', 'example.com/gpu'],
  limitName: ['cpu', 'memory', 'example.com/gpu'],
  configKey: ['a', 'file.txt'],
  portName: ['http', 'p1'],
  countOrPercent: [0, 3, '25%'],
  absolutePath: ['/', '/etc/a'],
  mountPath: ['/etc/a'],
  relativePath: ['a/b'],
  envName: ['A', 'a.b'],
  envPrefix: ['', 'A_'],
  sysctlName: ['net.core.somaxconn'],
  capability: ['NET_ADMIN', 'ALL'],
  image: ['busybox', 'registry.example.com/a:1'],
  ip: ['10.0.0.1', 'fd00::1'],
  cidr: ['10.0.0.0/24', 'fd00::/64'],
  host: ['10.0.0.1', 'host.example.com'],
  interfaceName: ['eth1'],
  imageId: ['', 'a@sha256:0'],
  containerId: ['crun://a'],
  kindName: ['Gateway'],
  controllerName: ['example.com/gateway'],
  line: ['', 'some text'],
  signal: ['SIGTERM'],
  httpHeader: ['X-Probe'],
  port: [1, 65_535],
  hostPort: [0, 80],
  vni: [1],
  fileMode: [0, 0o777],
  userId: [0, 1000],
  weight: [1, 100],
  nonNegative: [0, 7],
  positive: [1, 7],
}

const seconds = fc.oneof(
  fc.constantFrom(0, 951_782_400, 1_769_860_800, 253_402_300_799),
  fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }),
)
const time = seconds.map((second) => new Date(second * 1000).toISOString().replace('.000Z', 'Z'))
const step = fc.oneof(word, fc.constantFrom('.', 'f:metadata', 'k:{"a":"\\\\"}', 'é', '\n', '__proto__'))
const fieldsV1 = [1, 2, 3].reduce<fc.Arbitrary<JsonObject>>(
  (inner) => fc.dictionary(step, inner, { maxKeys: 4, noNullPrototype: true }),
  fc.constant({}),
)

const made = new Map<string, fc.Arbitrary<Fields>>()

/** An object of a message, in which some of its fields are. */
export function messageOf(name: string, values: Values = 'any', depth = DEPTH): fc.Arbitrary<Fields> {
  const key = `${name} ${values} ${depth}`
  let arbitrary = made.get(key)
  if (arbitrary === undefined) made.set(key, (arbitrary = makeMessage(name, values, depth)))
  return arbitrary
}

function makeMessage(name: string, values: Values, depth: number): fc.Arbitrary<Fields> {
  const fields = [...fieldsOf(name)].filter(
    ([, field]) =>
      field.some(({ kind }) => depth > 0 || kind !== 'message') && (values === 'any' || isActedOn(field[0]!)),
  )
  const required = values === 'any' ? [] : fields.filter(([, field]) => field[0]!.options.required === true)
  return fc.subarray(fields, { maxLength: Math.min(FIELDS, fields.length) }).chain((chosen) => {
    const model = [...required, ...chosen].map(
      ([property, field]) => [property, propertyOf(field, values, depth)] as const,
    )
    return fc.record(Object.fromEntries(model), { noNullPrototype: true })
  })
}

function isActedOn({ options }: FieldSchema): boolean {
  return options.unsupported === undefined || options.inert !== undefined
}

/** The properties of an object in memory, each with its field, or the fields of its oneof. */
function fieldsOf(name: string): Map<string, FieldSchema[]> {
  const properties = new Map<string, FieldSchema[]>()
  for (const field of messageSchema(name).fields)
    if (field.options.inline === true)
      for (const [property, inner] of fieldsOf(field.type)) properties.set(property, inner)
    else properties.set(field.oneof ?? field.name, [...(properties.get(field.oneof ?? field.name) ?? []), field])
  return properties
}

function propertyOf(fields: readonly FieldSchema[], values: Values, depth: number): fc.Arbitrary<unknown> {
  const [first] = fields as [FieldSchema, ...FieldSchema[]]
  if (first.oneof !== undefined) {
    const cases = fields
      .filter(({ kind }) => depth > 0 || kind !== 'message')
      .map((field) => ({ case: fc.constant(field.name), value: valueOf(field, values, depth) }))
    return fc.oneof(...cases.map((model) => fc.record(model, { noNullPrototype: true })))
  }
  if (values === 'allowed' && first.options.inert !== undefined)
    return fc.constantFrom(...first.options.inert.map((inert) => inMemory(first, inert)))
  const value = valueOf(first, values, depth)
  switch (first.label) {
    case 'optional':
      return first.options.required === true && values === 'allowed'
        ? value
        : fc.option(value, { freq: 20, nil: undefined })
    case 'repeated': {
      const { mergeKey } = first.options
      return values === 'any' || mergeKey === undefined
        ? fc.array(value, { maxLength: 3 })
        : fc.uniqueArray(value, { selector: (item) => keyOf(first.type, item as Fields, mergeKey), maxLength: 3 })
    }
    case 'map': {
      const { keyFormat } = first.options
      const names = values === 'any' || keyFormat === undefined ? keys : fc.constantFrom(...allowedOf(keyFormat))
      return fc.dictionary(
        values === 'any'
          ? (names as fc.Arbitrary<string>)
          : (names as fc.Arbitrary<string>).filter((key) => key !== '__proto__'),
        value,
        { maxKeys: 4, noNullPrototype: true },
      )
    }
  }
}

/** What tells an item apart from others; an item without a key is none's double. */
function keyOf(message: string, item: Fields, names: readonly string[]): unknown {
  const key = names.map(
    (name) => item[name] ?? messageSchema(message).fields.find((one) => one.name === name)?.options.default,
  )
  return key.includes(undefined) ? Symbol('none') : key.join('\n')
}

function inMemory({ kind, type }: FieldSchema, inert: string): unknown {
  return kind === 'scalar' && type === 'string' ? inert : (JSON.parse(inert) as unknown)
}

function allowedOf(format: string): readonly (string | number)[] {
  return FORMATS[format as keyof typeof formats]
}

function valueOf(field: FieldSchema, values: Values, depth: number): fc.Arbitrary<unknown> {
  const { kind, type, options } = field
  if (values === 'allowed' && options.enum !== undefined)
    return fc.constantFrom(...options.enum.map((name) => (type === 'string' ? name : Number(name))))
  if (values === 'allowed' && options.format !== undefined) return fc.constantFrom(...allowedOf(options.format))
  switch (kind) {
    case 'enum':
      return fc.constantFrom(...Object.keys(schema.enums[type]!.values))
    case 'message':
      return SPECIAL_MESSAGES.has(type) ? specialOf(type, values) : messageOf(type, values, depth - 1)
    case 'scalar':
      return options.base64 === true ? base64 : SCALARS[type]!
  }
}

function specialOf(type: string, values: Values): fc.Arbitrary<unknown> {
  switch (type) {
    case 'Quantity':
      return fc.constantFrom('100m', '1', '2Gi', '0', ...(values === 'any' ? [''] : []))
    case 'Time':
      return time
    case 'MicroTime':
      return fc
        .tuple(time, fc.nat(999_999))
        .map(([at, micros]) => at.replace('Z', `.${String(micros).padStart(6, '0')}Z`))
    case 'Duration':
      return fc.constantFrom('0s', '1m30s', '1.5s', '-2h0m0s')
    case 'IntOrString':
      return fc.oneof(fc.integer({ min: -(2 ** 31) + 1 }), text)
    case 'FieldsV1': {
      const other = fc.jsonValue().map((a) => ({ a }) as JsonObject)
      return fc.oneof({ weight: 3, arbitrary: fieldsV1 }, other)
    }
    case 'ExtraValue':
      return fc.array(text, { maxLength: 3 })
    case 'JSON':
      return fc.oneof(fc.jsonValue(), fieldsV1)
    case 'JSONSchemaPropsOrArray':
      return fc.oneof(schemaOf(values), fc.array(schemaOf(values), { minLength: 1, maxLength: 2 }))
    case 'JSONSchemaPropsOrBool':
      return fc.oneof(schemaOf(values), fc.boolean())
    case 'JSONSchemaPropsOrStringArray':
      return fc.oneof(schemaOf(values), fc.array(text, { minLength: 1, maxLength: 2 }))
    default:
      throw new TypeError(`no ${type} can be made`)
  }
}

function schemaOf(values: Values): fc.Arbitrary<Fields> {
  return messageOf('JSONSchemaProps', values, 1)
}
