/**
 * Makes proto/gen from proto/gantry/v1: `schema.ts` (as data), `types.ts` (as TypeScript), `docs.ts` (the comments,
 * loaded only by `explain` and OpenAPI), `definitions.ts` (the messages' names in OpenAPI), and code that reads,
 * writes, copies, completes and checks each message (generator/). Run by the build; nothing in proto/gen is committed.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { COMPUTED } from './codec/computed-defaults.ts'
import { canonicalsCode } from './generator/canonicals.ts'
import { checksCode } from './generator/checks.ts'
import { copiesCode } from './generator/copies.ts'
import { defaultsCode } from './generator/defaults.ts'
import { jsonBytesCode } from './generator/json-bytes.ts'
import { jsonReadersCode } from './generator/json-readers.ts'
import { jsonTreesCode } from './generator/json-trees.ts'
import { statusChecksCode } from './generator/status-checks.ts'
import { structuresCode } from './generator/structures.ts'
import { wireCode } from './generator/wire.ts'
import type {
  EnumSchema,
  FieldOptions,
  FieldSchema,
  MessageSchema,
  ResourceSchema,
  Schema,
  ServiceSchema,
} from './schema/model.ts'

const here = import.meta.dirname
const source = join(here, 'gantry', 'v1')
const target = join(here, 'gen')

const SCALARS: Record<string, string> = {
  string: 'string',
  bool: 'boolean',
  bytes: 'Uint8Array',
  int32: 'number',
  uint32: 'number',
  int64: 'number',
  uint64: 'number',
  double: 'number',
  float: 'number',
}

interface Parsed {
  readonly namespace: protobuf.Namespace
  /** Of each message, in files that say it. */
  readonly definitions: Readonly<Record<string, string>>
}

function parse(): Parsed {
  const root = new protobuf.Root()
  const namespace = root.define('gantry.v1')
  const definitions: Record<string, string> = {}
  for (const file of readdirSync(source)
    .filter((name) => name.endsWith('.proto') && name !== 'options.proto')
    .sort()) {
    const before = new Set(namespace.nestedArray)
    protobuf.parse(readFileSync(join(source, file), 'utf8'), root, { keepCase: true, alternateCommentMode: true })
    const added = namespace.nestedArray.filter((item) => !before.has(item))
    addDefinitions(file, added, namespace.options?.['(definitions)'], definitions)
    // It is the namespace's as far as protobufjs knows, and the next file has its own.
    delete namespace.options?.['(definitions)']
  }
  root.resolveAll()
  return { namespace, definitions }
}

function addDefinitions(
  file: string,
  added: readonly protobuf.ReflectionObject[],
  prefix: unknown,
  definitions: Record<string, string>,
): void {
  for (const { name, options } of added.filter((item) => item instanceof protobuf.Type)) {
    const whole = options?.['(definition)']
    if (whole !== undefined) definitions[name] = String(whole)
    else if (prefix !== undefined)
      definitions[name] = `${String(prefix)}.${String(options?.['(resource).kind'] ?? name)}`
    else if (options?.['(resource).version'] !== undefined)
      throw new Error(
        `${file}: ${name} has no name in OpenAPI: write \`option (definitions) = "io.k8s.api.GROUP.VERSION";\` below the imports`,
      )
  }
}

function fieldOptions(options: Record<string, unknown> | undefined): FieldOptions {
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(options ?? {})) {
    const name = /^\((\w+)\)$/.exec(key)?.[1]
    if (name === undefined || name === 'jsonName') continue
    if (name === 'enum' || name === 'inert') result[name] = String(value).split('|')
    else if (name === 'mergeKey') result[name] = String(value).split(',')
    else result[name] = name === 'default' ? String(value) : value
  }
  return result
}

/** As in JSON and in memory. */
function nameOf(field: protobuf.Field): string {
  return String(field.options?.['(jsonName)'] ?? field.name)
}

function fieldSchema(field: protobuf.Field): FieldSchema {
  const oneof = field.partOf !== null && !field.partOf.name.startsWith('_') ? field.partOf.name : undefined
  const optional = field.options?.proto3_optional === true
  const implicit =
    (field.parent as unknown as { _edition: string })._edition === 'proto3' && !optional && oneof === undefined
  const kind =
    field.resolvedType instanceof protobuf.Type
      ? 'message'
      : field.resolvedType instanceof protobuf.Enum
        ? 'enum'
        : 'scalar'
  return {
    name: nameOf(field),
    number: field.id,
    kind,
    type: field.type.split('.').at(-1)!,
    label: field instanceof protobuf.MapField ? 'map' : field.repeated ? 'repeated' : 'optional',
    implicit,
    ...(oneof === undefined ? {} : { oneof }),
    options: fieldOptions(field.options),
  }
}

/** What the option `resource` says of a message; undefined for a message that is no kind. */
function resourceSchema({ name, options }: protobuf.Type): ResourceSchema | undefined {
  const option = (key: string): unknown => options?.[`(resource).${key}`]
  const list = (key: string): string[] =>
    String(option(key) ?? '')
      .split(',')
      .filter((item) => item !== '')
  if (option('version') === undefined) return undefined
  return {
    group: String(option('group') ?? ''),
    version: String(option('version')),
    kind: String(option('kind') ?? name),
    plural: String(option('plural')),
    namespaced: option('namespaced') === true,
    shortNames: list('shortNames'),
    ...(option('kind') === undefined ? {} : { message: name }),
    ...(option('virtual') === true ? { virtual: true } : {}),
    ...(option('statusMetadata') === undefined ? {} : { statusMetadata: list('statusMetadata') }),
    ...(option('generation') === undefined ? {} : { generation: option('generation') === true }),
    ...(option('categories') === undefined ? {} : { categories: list('categories') }),
    ...(option('deletedByName') === true ? { deletedByName: true } : {}),
    ...(option('nameFormat') === undefined ? {} : { nameFormat: String(option('nameFormat')) }),
    ...(option('statusAtCreation') === true ? { statusAtCreation: true } : {}),
    ...(option('streamed') === true ? { streamed: true } : {}),
  }
}

function collect(namespace: protobuf.Namespace): { schema: Schema; docs: Record<string, string> } {
  const messages: Record<string, MessageSchema> = {}
  const enums: Record<string, EnumSchema> = {}
  const services: Record<string, ServiceSchema> = {}
  const docs: Record<string, string> = {}
  const note = (path: string, comment: string | null): void => {
    if (comment !== null && comment !== '') docs[path] = comment.replace(/\s*\n\s*/g, ' ')
  }
  const addEnum = (item: protobuf.Enum): void => {
    enums[item.name] = { name: item.name, values: { ...item.values } }
  }
  for (const item of namespace.nestedArray) {
    if (item instanceof protobuf.Enum) addEnum(item)
    if (item instanceof protobuf.Service) {
      services[item.name] = {
        name: item.name,
        methods: item.methodsArray.map((method) => ({
          name: method.name,
          request: method.requestType,
          response: method.responseType,
          requestStream: method.requestStream === true,
          responseStream: method.responseStream === true,
        })),
      }
    }
    if (!(item instanceof protobuf.Type)) continue
    note(item.name, item.comment)
    for (const nested of item.nestedArray) {
      if (nested instanceof protobuf.Enum)
        enums[item.name + nested.name] = { name: item.name + nested.name, values: { ...nested.values } }
    }
    const fields = item.fieldsArray.map((field) => {
      note(`${item.name}.${nameOf(field)}`, field.comment)
      const schema = fieldSchema(field)
      return schema.kind === 'enum' && field.resolvedType?.parent === item
        ? { ...schema, type: item.name + schema.type }
        : schema
    })
    const resource = resourceSchema(item)
    const value = item.options?.['(value)'] as string | undefined
    messages[item.name] = {
      name: item.name,
      fields,
      ...(resource === undefined ? {} : { resource }),
      ...(value === undefined ? {} : { value }),
    }
  }
  return { schema: { messages, enums, services }, docs }
}

function tsType(field: FieldSchema, { messages }: Schema): string {
  const options = field.options
  let type = field.kind === 'scalar' ? SCALARS[field.type]! : (messages[field.type]?.value ?? field.type)
  if (options.enum !== undefined && field.type === 'string')
    type = options.enum.map((value) => `'${value}'`).join(' | ')
  if (options.base64 === true) type = 'string'
  if (field.label === 'map') return `Record<string, ${type}>`
  if (field.label === 'repeated') return /[ |]/.test(type) ? `(${type})[]` : `${type}[]`
  return type
}

function tsField(field: FieldSchema, schema: Schema, doc: string | undefined): string {
  const { required, always, default: fallback } = field.options
  const present =
    required === true ||
    always === true ||
    fallback !== undefined ||
    (field.implicit && (field.kind !== 'message' || field.label !== 'optional'))
  const comment = doc === undefined ? '' : `  /** ${doc.replaceAll('*/', '*\\/')} */\n`
  return `${comment}  ${/^\w+$/.test(field.name) ? field.name : JSON.stringify(field.name)}${present ? '' : '?'}: ${tsType(field, schema)}${present ? '' : ' | undefined'}`
}

function tsMessage(message: MessageSchema, schema: Schema, docs: Record<string, string>): string {
  const lines: string[] = []
  const inlined: string[] = []
  if (message.resource !== undefined) {
    const { group, version } = message.resource
    lines.push(
      `  apiVersion: '${group === '' ? version : `${group}/${version}`}'`,
      `  kind: '${message.resource.kind}'`,
    )
  }
  const oneofs = new Map<string, FieldSchema[]>()
  for (const field of message.fields) {
    if (field.oneof !== undefined) oneofs.set(field.oneof, [...(oneofs.get(field.oneof) ?? []), field])
    else if (field.options.inline === true) inlined.push(field.type)
    else lines.push(tsField(field, schema, docs[`${message.name}.${field.name}`]))
  }
  for (const [name, fields] of oneofs) {
    const cases = fields.map((field) => `{ case: '${field.name}'; value: ${tsType(field, schema)} }`)
    lines.push(`  ${name}?: ${cases.join(' | ')} | undefined`)
  }
  const parents = inlined.length === 0 ? '' : ` extends ${inlined.join(', ')}`
  const doc = docs[message.name]
  return `${doc === undefined ? '' : `/** ${doc} */\n`}export interface ${message.name}${parents} {\n${lines.join('\n')}\n}\n`
}

function tsService(service: ServiceSchema): string {
  const lines = service.methods.map((method) => {
    const name = method.name[0]!.toLowerCase() + method.name.slice(1)
    const shape = method.requestStream
      ? method.responseStream
        ? 'Duplex'
        : 'ClientStream'
      : method.responseStream
        ? 'ServerStream'
        : 'Unary'
    return `  ${name}: { shape: '${shape}'; request: ${method.request}; response: ${method.response} }`
  })
  return `export interface ${service.name}Service {\n${lines.join('\n')}\n}\n`
}

function tsTypes(schema: Schema, docs: Record<string, string>): string {
  const messages = Object.values(schema.messages)
  const resources = messages
    .filter(({ resource }) => resource !== undefined && resource.virtual !== true)
    .map((message) => message.name)
  const special = messages.flatMap(({ name, value }) =>
    value === undefined ? [] : [`export type ${name} = ${value}\n`],
  )
  return [
    '/* Generated from proto/gantry/v1 by proto/generate.ts. */\n',
    'export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject\nexport interface JsonObject { [key: string]: JsonValue }\n',
    ...special,
    ...Object.values(schema.enums).map(
      (item) =>
        `export type ${item.name} = ${Object.keys(item.values)
          .map((name) => `'${name}'`)
          .join(' | ')}\n`,
    ),
    ...messages.filter((message) => message.value === undefined).map((message) => tsMessage(message, schema, docs)),
    ...Object.values(schema.services).map(tsService),
    `/** Every message by its name. */\nexport interface Messages {\n${messages.map((message) => `  ${message.name}: ${message.name}`).join('\n')}\n}\n`,
    `/** Every resource by its kind. */\nexport interface Resources {\n${resources.map((name) => `  ${name}: ${name}`).join('\n')}\n}\n`,
    'export type Kind = keyof Resources\n/** Any resource; `kind` tells which. */\nexport type AnyResource = Resources[Kind]\n',
    `export interface Services {\n${Object.keys(schema.services)
      .map((name) => `  ${name}: ${name}Service`)
      .join('\n')}\n}\n`,
  ].join('\n')
}

/** As lazyRecord takes it. */
function linesOf(record: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(record).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  return JSON.stringify(lines.join('\n'))
}

/** JSON in a literal: it is parsed faster than the same as code. */
function quoted(value: unknown): string {
  return JSON.stringify(JSON.stringify(value))
}

const { namespace, definitions } = parse()
const { schema, docs } = collect(namespace)
mkdirSync(target, { recursive: true })
const messages = Object.values(schema.messages)
const header = '/* Generated from proto/gantry/v1 by proto/generate.ts. */\n'
writeFileSync(
  join(target, 'schema.ts'),
  `${header}import { lazyRecord } from '../schema/lazy-record.ts'
import type { ResourceSchema, Schema } from '../schema/model.ts'
export const schema: Schema = {
  messages: lazyRecord(${linesOf(schema.messages)}),
  enums: lazyRecord(${linesOf(schema.enums)}),
  services: lazyRecord(${linesOf(schema.services)}),
}
/** Of the messages, what is asked of all of them: the kinds, and the names of those that are one value. */
export const declaredResources = JSON.parse(${quoted(messages.flatMap(({ resource }) => resource ?? []))}) as ResourceSchema[]
export const valueMessages = ${JSON.stringify(messages.flatMap(({ name, value }) => (value === undefined ? [] : [name])))}
`,
)
writeFileSync(join(target, 'types.ts'), tsTypes(schema, docs))
writeFileSync(
  join(target, 'docs.ts'),
  `${header}export const docs: Record<string, string> = ${JSON.stringify(docs, undefined, 1)}\n`,
)
writeFileSync(
  join(target, 'definitions.ts'),
  `${header}export const definitions: Record<string, string> = ${JSON.stringify(definitions, undefined, 1)}\n`,
)
writeFileSync(join(target, 'canonicals.ts'), `${header}${canonicalsCode(schema, definitions)}`)
writeFileSync(join(target, 'checks.ts'), `${header}${checksCode(schema, definitions)}`)
writeFileSync(join(target, 'copies.ts'), `${header}${copiesCode(schema, definitions)}`)
writeFileSync(
  join(target, 'defaults.ts'),
  `${header}${defaultsCode(schema, definitions, new Set(Object.keys(COMPUTED)))}`,
)
writeFileSync(join(target, 'json-bytes.ts'), `${header}${jsonBytesCode(schema, definitions)}`)
writeFileSync(join(target, 'json-readers.ts'), `${header}${jsonReadersCode(schema, definitions)}`)
writeFileSync(join(target, 'json-trees.ts'), `${header}${jsonTreesCode(schema, definitions)}`)
writeFileSync(join(target, 'status-checks.ts'), `${header}${statusChecksCode(schema)}`)
writeFileSync(join(target, 'structures.ts'), `${header}${structuresCode(schema, definitions)}`)
writeFileSync(join(target, 'wire.ts'), `${header}${wireCode(schema)}`)
