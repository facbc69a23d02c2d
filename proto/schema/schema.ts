/**
 * The schema as data: what decoding, defaulting, validation, merging and `explain` are derived from. Made by
 * proto/generate.ts.
 */
import { declaredResources, schema, valueMessages } from '../gen/schema.ts'
import type { AnyResource, Kind } from '../gen/types.ts'
import { customKinds } from './custom/definitions.ts'
import { GantryError } from '../base/errors.ts'
import type { ResourceSchema, MessageSchema } from './model.ts'

export { schema }

/** Messages that are one value in YAML, JSON and memory: a quantity is "100m", a time is RFC 3339 text, … */
export const SPECIAL_MESSAGES: ReadonlySet<string> = new Set(valueMessages)

/** The schema of a message; a name that does not exist is a programming error. */
export function messageSchema(name: string): MessageSchema {
  const message = schema.messages[name]
  if (message === undefined) throw new TypeError(`no message ${name} in the schema`)
  return message
}

/** Every kind of the schema that the store keeps; CustomResourceDefinitions define more (KindRegistry). */
export const resources: readonly ResourceSchema[] = declaredResources.filter(({ virtual }) => virtual !== true)

/** Kinds that only requests and answers have: reviews, metrics, … */
export const virtualResources: readonly ResourceSchema[] = declaredResources.filter(({ virtual }) => virtual === true)

const byKind = new Map(resources.map((resource) => [resource.kind, resource]))

/** Whether there is a kind of that name: one that was defined may be gone. */
export function isKind(kind: string): kind is Kind {
  return byKind.has(kind) || customKinds.get(kind) !== undefined
}

/** The resource of a kind that there is; NotFound for one whose definition is gone. */
export function resourceOf(kind: Kind): ResourceSchema {
  const resource = byKind.get(kind) ?? customKinds.get(kind)?.resource
  if (resource === undefined) throw unknownKind(kind)
  return resource
}

/**
 * What is thrown of a kind that there is not: NotFound where its definition may have gone a moment ago, else a fault of
 * the program.
 */
export function unknownKind(kind: Kind): Error {
  return kind.includes('.')
    ? new GantryError('NotFound', `the kind ${kind} is not defined (any more)`)
    : new TypeError(`no kind ${kind} in the schema`)
}

/** "v1" or "apps/v1". */
export function apiVersionOf(resource: Pick<ResourceSchema, 'group' | 'version'>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
}

/** The kind of the schema with this name in this group and version; a KindRegistry knows defined ones, too. */
export function findKind(apiVersion: string, kind: string): Kind | undefined {
  const resource = byKind.get(kind)
  return resource !== undefined && apiVersionOf(resource) === apiVersion ? (resource.kind as Kind) : undefined
}

/** "Pod default/web" or "Node n1": how messages name an object. */
export function describeObject(object: Pick<AnyResource, 'kind' | 'metadata'>): string {
  const { namespace, name } = object.metadata
  return `${customKinds.get(object.kind)?.resource.kind ?? object.kind} ${namespace === '' ? '' : `${namespace}/`}${name}`
}
