/**
 * Messages as OpenAPI 3 schemas: descriptions from the comments, required fields, defaults, values and formats from the
 * options, and the extensions by which clients merge. https://spec.openapis.org/oas/v3.0.0#schema-object,
 * https://github.com/kubernetes/kube-openapi
 */
import { schema, SPECIAL_MESSAGES, messageSchema } from '../../../proto/schema/schema.ts'
import type { FieldSchema, MessageSchema } from '../../../proto/schema/model.ts'
import type { JsonObject, JsonValue } from '../../../proto/gen/types.ts'

/** What the schemas are made of, beside the schema itself: loaded when the first document is asked for. */
export interface Sources {
  /** Comments by "Message" and "Message.field". */
  readonly docs: Readonly<Record<string, string>>
  /** Names in OpenAPI by message. */
  readonly definitions: Readonly<Record<string, string>>
}

export const REFERENCE = '#/components/schemas/'

/** What messages that are one value look like in JSON. */
const SPECIAL: Readonly<Record<string, JsonObject>> = {
  Quantity: {
    description: 'An amount, such as 250m, 1.5, 64Mi or 2G.',
    oneOf: [{ type: 'string' }, { type: 'number' }],
  },
  IntOrString: {
    description: 'A whole number (32 bits) or a string.',
    format: 'int-or-string',
    oneOf: [{ type: 'integer' }, { type: 'string' }],
  },
  Time: { description: 'A time in RFC 3339, to the second.', type: 'string', format: 'date-time' },
  MicroTime: { description: 'A time in RFC 3339, to the microsecond.', type: 'string', format: 'date-time' },
  Duration: { description: 'A length of time, such as 30s or 1m30s.', type: 'string' },
  FieldsV1: { description: 'Fields as a tree of "f:NAME", "k:KEY" and "v:VALUE".', type: 'object' },
  ExtraValue: { description: 'Values of one key.', type: 'array', items: { type: 'string', default: '' } },
  JSON: { description: 'Any value.' },
  JSONSchemaPropsOrArray: { description: 'A schema, or a list of them.' },
  JSONSchemaPropsOrBool: { description: 'A schema, or whether anything is allowed.' },
  JSONSchemaPropsOrStringArray: { description: 'A schema, or the names of properties.' },
}

const SCALARS: Readonly<Record<string, JsonObject>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  bytes: { type: 'string', format: 'byte' },
  int32: { type: 'integer', format: 'int32' },
  uint32: { type: 'integer', format: 'int64' },
  int64: { type: 'integer', format: 'int64' },
  uint64: { type: 'integer', format: 'int64' },
  float: { type: 'number', format: 'float' },
  double: { type: 'number', format: 'double' },
}

/** Every object has these. */
export const TYPE_PROPERTIES: JsonObject = {
  apiVersion: { type: 'string', description: 'Group and version of the kind, such as apps/v1.' },
  kind: { type: 'string', description: 'The kind of object.' },
}

export function gvk(group: string, version: string, kind: string): JsonObject {
  return { group, kind, version }
}

export class Schemas {
  readonly #sources: Sources
  /** By the definition's name; grows as definitions are referred to. */
  readonly #made = new Map<string, JsonObject>()

  constructor(sources: Sources) {
    this.#sources = sources
  }

  /** Every definition that was referred to so far, and those that they refer to, by name. */
  all(): JsonObject {
    return Object.fromEntries([...this.#made].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** A reference to the definition of a message. */
  ref(message: string): JsonObject {
    return this.add(this.nameOf(message), () => this.#definition(message))
  }

  /** The name of a message's definition. */
  nameOf(message: string): string {
    const name = this.#sources.definitions[message]
    if (name === undefined)
      throw new TypeError(`${message} has no name in OpenAPI: its file wants \`option (definitions)\``)
    return name
  }

  /** A reference to a definition of that name, made if it is not there. */
  add(name: string, make: () => JsonObject): JsonObject {
    if (!this.#made.has(name)) {
      this.#made.set(name, {}) // before its fields, which may refer to it
      this.#made.set(name, make())
    }
    return { $ref: `${REFERENCE}${name}` }
  }

  /** A list of a kind: `item` refers to the kind. */
  list(name: string, item: JsonObject, group: string, version: string, listKind: string): JsonObject {
    return this.add(name, () => ({
      description: 'Objects of one kind.',
      type: 'object',
      required: ['items'],
      properties: {
        ...TYPE_PROPERTIES,
        items: { type: 'array', description: 'The objects.', items: { allOf: [item], default: {} } },
        metadata: {
          allOf: [this.ref('ListMeta')],
          default: {},
          description: 'What the list shows, and where it goes on.',
        },
      },
      'x-kubernetes-group-version-kind': [gvk(group, version, listKind)],
    }))
  }

  #definition(message: string): JsonObject {
    const description = this.#sources.docs[message] ?? ''
    if (SPECIAL_MESSAGES.has(message)) return SPECIAL[message]!
    const fields = fieldsOf(messageSchema(message))
    const { resource } = messageSchema(message)
    const properties = [
      ...(resource === undefined ? [] : Object.entries(TYPE_PROPERTIES)),
      ...fields.map(({ owner, field }) => [field.name, this.#property(owner, field)] as const),
    ].sort(([a], [b]) => (a < b ? -1 : 1))
    const required = fields
      .filter(({ field }) => field.options.required === true)
      .map(({ field }) => field.name)
      .sort()
    return {
      ...(description !== '' && { description }),
      type: 'object',
      ...(required.length > 0 && { required }),
      ...(properties.length > 0 && { properties: Object.fromEntries(properties) }),
      ...(resource !== undefined && {
        'x-kubernetes-group-version-kind': [gvk(resource.group, resource.version, resource.kind)],
      }),
    }
  }

  #property(owner: string, field: FieldSchema): JsonObject {
    const description = describe(this.#sources.docs[`${owner}.${field.name}`], field)
    const told: JsonObject = description === '' ? {} : { description }
    switch (field.label) {
      case 'optional': {
        const fallback = defaultOf(field)
        const retain: JsonObject =
          field.options.retainKeys === true ? { 'x-kubernetes-patch-strategy': 'retainKeys' } : {}
        return { ...wrap(this.#value(field)), ...told, ...(fallback !== undefined && { default: fallback }), ...retain }
      }
      case 'map':
        return {
          ...told,
          type: 'object',
          additionalProperties: wrap(this.#value(field)),
          ...(field.options.atomic === true && { 'x-kubernetes-map-type': 'atomic' }),
        }
      case 'repeated':
        return { ...told, type: 'array', items: wrap(this.#value(field)), ...listExtensions(field) }
    }
  }

  /** One value of a field. */
  #value(field: FieldSchema): JsonObject {
    switch (field.kind) {
      case 'message':
        return this.ref(field.type)
      case 'enum':
        return { type: 'string', enum: Object.keys(schema.enums[field.type]!.values) }
      case 'scalar':
        return { ...SCALARS[field.type]!, ...(field.options.enum !== undefined && { enum: [...field.options.enum] }) }
    }
  }
}

/** What stands beside a reference is not looked at: it has to be one of several that all hold. */
function wrap(value: JsonObject): JsonObject {
  return value.$ref === undefined ? value : { allOf: [value] }
}

/** With those of inlined messages; `owner` is the message that declares it. */
function fieldsOf(message: MessageSchema): { owner: string; field: FieldSchema }[] {
  return message.fields.flatMap((field) =>
    field.options.inline === true ? fieldsOf(messageSchema(field.type)) : [{ owner: message.name, field }],
  )
}

function describe(doc: string | undefined, { options }: FieldSchema): string {
  const { unsupported } = options
  const reason =
    unsupported === NOT_YET ? 'Gantry does not act on it yet' : `Gantry does not act on it (${unsupported})`
  const refused = unsupported === undefined ? undefined : `${reason}: ${acceptance(options.inert)}`
  return [doc, refused].filter((text) => text !== undefined && text !== '').join(' ')
}

/** The usual reason for which a field is refused. */
const NOT_YET = 'not acted on yet'

function acceptance(inert: readonly string[] = []): string {
  const values = inert.filter((value) => value !== '')
  return values.length === 0
    ? 'refused where it is set.'
    : `refused where it is set to anything but ${values.join(' or ')}.`
}

function defaultOf({ kind, type, options }: FieldSchema): JsonValue | undefined {
  const text = options.default
  if (text === undefined) return undefined
  if (text === '{}') return {}
  if (kind === 'message') return type === 'IntOrString' && /^-?\d+$/.test(text) ? Number(text) : text
  return kind === 'enum' || type === 'string' ? text : (JSON.parse(text) as JsonValue)
}

/**
 * How two states of a list are merged. https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
 */
function listExtensions({ options: { mergeKey, set, retainKeys, atomic } }: FieldSchema): JsonObject {
  const strategy = { 'x-kubernetes-patch-strategy': retainKeys === true ? 'merge,retainKeys' : 'merge' }
  if (set === true) return { 'x-kubernetes-list-type': 'set', ...strategy }
  if (mergeKey === undefined || atomic === true) return { 'x-kubernetes-list-type': 'atomic' }
  // A patch knows one key; the first is the one that Kubernetes' clients go by.
  return {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': [...mergeKey],
    'x-kubernetes-patch-merge-key': mergeKey[0]!,
    ...strategy,
  }
}
