/**
 * What is to be known about a kind and its fields, from the schema and its comments: for `explain`. The comments are
 * loaded on the first call.
 */
import type { CustomKind } from './custom/definitions.ts'
import { explainCustom, explainPath } from './custom/explain.ts'
import { GantryError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import { pathSteps } from '../base/path.ts'
import { apiVersionOf, messageSchema, resources, schema, SPECIAL_MESSAGES } from './schema.ts'
import { SCHEMA_KINDS, type KnownKinds } from './kind-registry.ts'
import type { FieldSchema } from './model.ts'
import type { ExplainedField } from './explained-field.ts'

export interface Explanation {
  readonly kind: string
  readonly apiVersion: string
  /** Field names joined by dots; '' for the kind itself. */
  readonly path: string
  readonly field: ExplainedField
}

/** More levels than any kind has. What contains itself (a JSON schema) is shown once. */
const DEEPEST = 12

/**
 * A kind or a field of it by a path such as `deploy.spec.strategy`; indexes and keys in brackets are skipped over.
 * `recursive`: with all levels of children. `kinds`: those of the schema if not given. NotFound, with the nearest name,
 * if there is no such kind or field.
 */
export async function explain(
  path: string,
  options: { readonly recursive?: boolean; readonly kinds?: KnownKinds } = {},
): Promise<Explanation> {
  const { docs } = await import('../gen/docs.ts')
  const { kinds = SCHEMA_KINDS } = options
  const [word = '', ...names] = pathSteps(path.replace(/\[[^\]]*\]/g, ''))
  const resource = kinds.findWord(word)
  if (resource === undefined)
    throw unknown(
      'kind',
      word,
      resources.flatMap(({ kind, plural, shortNames }) => [kind.toLowerCase(), plural, ...shortNames]),
    )
  const levels = options.recursive === true ? DEEPEST : 1
  const explainer = new Explainer(docs)
  const found = { kind: resource.kind, apiVersion: apiVersionOf(resource), path: names.join('.') }
  const custom = kinds.customByPlural(resource.group, resource.plural)
  if (custom !== undefined) return { ...found, field: customField(custom, names, levels, explainer) }
  if (names.length === 0) return { ...found, field: explainer.kind(resource.kind, levels) }
  let declared: Declared | undefined
  for (const [index, name] of names.entries()) {
    const message: string = declared === undefined ? resource.kind : declared.field.type
    const fields = declared !== undefined && !hasFields(declared.field) ? [] : declaredFields(message)
    declared = fields.find(({ field }) => field.name === name)
    if (declared === undefined)
      throw unknown(
        `field of ${[resource.kind, ...names.slice(0, index)].join('.')}`,
        name,
        fields.map(({ field }) => field.name),
      )
  }
  return { ...found, field: explainer.field(declared!, levels) }
}

function customField(
  { resource: { kind }, stored: { schema: own } }: CustomKind,
  names: readonly string[],
  levels: number,
  explainer: Explainer,
): ExplainedField {
  const metadata = declaredFields('CustomObject').find(({ field }) => field.name === 'metadata')!
  const [first, ...rest] = names
  if (first === undefined) return explainCustom(kind, own, explainer.field(metadata, levels - 1), levels)
  if (first === 'metadata')
    return explainer.field(
      rest.reduce<Declared>((declared, name) => {
        const fields = hasFields(declared.field) ? declaredFields(declared.field.type) : []
        const next = fields.find(({ field }) => field.name === name)
        if (next === undefined)
          throw unknown(
            `field of ${kind}.metadata`,
            name,
            fields.map(({ field }) => field.name),
          )
        return next
      }, metadata),
      levels,
    )
  const found = explainPath(own, names, levels > 1)
  if ('missing' in found) throw unknown(`field of ${[kind, ...found.at].join('.')}`, found.missing, found.known)
  return found.field
}

function unknown(what: string, name: string, known: readonly string[]): GantryError {
  const meant = nearest(name, known)
  const remedy = meant === undefined ? '' : `did you mean ${meant}?`
  return new GantryError('NotFound', `"${name}" is no ${what}${remedy === '' ? '' : `: ${remedy}`}`, {
    details: [{ value: name, message: `is no ${what}`, remedy }],
  })
}

/** A field and the message that declares it, which is another for those of inlined messages. */
interface Declared {
  readonly message: string
  readonly field: FieldSchema
}

function declaredFields(message: string): Declared[] {
  return messageSchema(message).fields.flatMap((field) =>
    field.options.inline === true ? declaredFields(field.type) : [{ message, field }],
  )
}

function hasFields(field: FieldSchema): boolean {
  return field.kind === 'message' && !SPECIAL_MESSAGES.has(field.type)
}

const SCALARS: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'boolean',
  double: 'number',
  float: 'number',
}

function typeName(field: FieldSchema): string {
  const type =
    field.options.base64 === true
      ? 'base64'
      : field.kind === 'scalar'
        ? (SCALARS[field.type] ?? 'integer')
        : field.kind === 'enum'
          ? 'string'
          : field.type
  return field.label === 'map' ? `map[string]${type}` : field.label === 'repeated' ? `[]${type}` : type
}

class Explainer {
  readonly #docs: Readonly<Record<string, string>>

  constructor(docs: Readonly<Record<string, string>>) {
    this.#docs = docs
  }

  kind(kind: string, levels: number): ExplainedField {
    const header = ['apiVersion', 'kind'].map((name) =>
      plain(name, 'string', name === 'kind' ? 'The kind of object.' : 'Group and version of the kind.', {
        required: true,
      }),
    )
    return plain(kind, kind, this.#docs[kind] ?? '', { children: [...header, ...this.#children(kind, levels)] })
  }

  field({ message, field }: Declared, levels: number): ExplainedField {
    const { options } = field
    const reason = options.unsupported
    return plain(field.name, typeName(field), this.#docs[`${message}.${field.name}`] ?? '', {
      required: options.required === true,
      readOnly: options.readOnly === true,
      frozen: options.frozen === true,
      enum: options.enum ?? (field.kind === 'enum' ? Object.keys(schema.enums[field.type]!.values) : []),
      default: options.default === '{}' ? undefined : options.default,
      unsupported: reason === undefined ? undefined : { reason, accepted: options.inert ?? [] },
      mergeKey: options.mergeKey ?? [],
      children:
        hasFields(field) && field.type !== message ? this.#children(field.type, levels, reason !== undefined) : [],
    })
  }

  /** Below a field that is refused only one level is shown. */
  #children(message: string, levels: number, refused = false): ExplainedField[] {
    return levels === 0
      ? []
      : declaredFields(message).map((declared) =>
          this.field(declared, refused || declared.field.options.unsupported !== undefined ? 0 : levels - 1),
        )
  }
}

function plain(name: string, type: string, description: string, more: Partial<ExplainedField>): ExplainedField {
  return {
    name,
    type,
    description,
    required: false,
    readOnly: false,
    frozen: false,
    enum: [],
    default: undefined,
    unsupported: undefined,
    mergeKey: [],
    children: [],
    ...more,
  }
}
