/** The schema as data: what decoding, defaulting, validation, merging and `explain` are derived from. Made by proto/generate.ts. */
import { schema } from '../gen/schema.ts'
import type { AnyResource, Kind } from '../gen/types.ts'

/** The options of options.proto that a field carries. */
export interface FieldOptions {
  readonly required?: boolean
  readonly always?: boolean
  readonly default?: string
  readonly enum?: readonly string[]
  readonly format?: string
  readonly frozen?: boolean
  readonly mergeKey?: readonly string[]
  readonly secret?: boolean
  readonly inline?: boolean
  readonly base64?: boolean
  readonly unsupported?: string
  readonly readOnly?: boolean
  readonly inert?: readonly string[]
  readonly keyFormat?: string
  readonly set?: boolean
}

export interface FieldSchema {
  readonly name: string
  readonly number: number
  readonly kind: 'scalar' | 'message' | 'enum'
  /** A protobuf scalar's name, or the message's or enum's. For a map, of its values; keys are strings. */
  readonly type: string
  readonly label: 'optional' | 'repeated' | 'map'
  /** A proto3 field without presence: absent means its zero value. */
  readonly implicit: boolean
  readonly oneof?: string
  readonly options: FieldOptions
}

export interface ResourceSchema {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly namespaced: boolean
  readonly shortNames: readonly string[]
}

export interface MessageSchema {
  readonly name: string
  readonly fields: readonly FieldSchema[]
  readonly resource?: ResourceSchema
}

export interface EnumSchema {
  readonly name: string
  readonly values: Readonly<Record<string, number>>
}

export interface ServiceSchema {
  readonly name: string
  readonly methods: readonly { name: string; request: string; response: string; requestStream: boolean; responseStream: boolean }[]
}

export interface Schema {
  readonly messages: Readonly<Record<string, MessageSchema>>
  readonly enums: Readonly<Record<string, EnumSchema>>
  readonly services: Readonly<Record<string, ServiceSchema>>
}

export { schema }

/** Messages that are one value in YAML, JSON and memory: a quantity is "100m", a time is RFC 3339 text, … */
export const SPECIAL_MESSAGES: ReadonlySet<string> = new Set(['Quantity', 'Time', 'MicroTime', 'IntOrString', 'FieldsV1'])

/** The schema of a message; a name that does not exist is a programming error. */
export function messageSchema(name: string): MessageSchema {
  const message = schema.messages[name]
  if (message === undefined) throw new TypeError(`no message ${name} in the schema`)
  return message
}

/** Every kind that the API serves. */
export const resources: readonly ResourceSchema[] = Object.values(schema.messages).flatMap((message) => message.resource ?? [])

const byKind = new Map(resources.map((resource) => [resource.kind, resource]))

/** The resource of a kind known to the schema. */
export function resourceOf(kind: Kind): ResourceSchema {
  const resource = byKind.get(kind)
  if (resource === undefined) throw new TypeError(`no kind ${kind} in the schema`)
  return resource
}

/** "v1" or "apps/v1". */
export function apiVersionOf(resource: ResourceSchema): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
}

/** The kind with this name in this group and version, or undefined. */
export function findKind(apiVersion: string, kind: string): Kind | undefined {
  const resource = byKind.get(kind)
  return resource !== undefined && apiVersionOf(resource) === apiVersion ? (resource.kind as Kind) : undefined
}

/**
 * The resource that a person means by a word on the command line: kind, plural, singular or short name, in any case, optionally with the
 * group behind a dot ("deployments.apps"). Undefined if none fits.
 */
export function findResource(word: string): ResourceSchema | undefined {
  const [name = '', ...rest] = word.toLowerCase().split('.')
  const group = rest.join('.')
  return resources.find((resource) => {
    if (group !== '' && group !== resource.group && group !== `${resource.version}.${resource.group}`) return false
    return [resource.kind.toLowerCase(), resource.plural, ...resource.shortNames].includes(name)
  })
}

/** "Pod default/web" or "Node n1": how messages name an object. */
export function describeObject(object: Pick<AnyResource, 'kind' | 'metadata'>): string {
  const { namespace, name } = object.metadata
  return `${object.kind} ${namespace === '' ? '' : `${namespace}/`}${name}`
}
