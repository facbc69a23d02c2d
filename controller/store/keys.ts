/**
 * Where objects stand in the store: /gantry/<group>/<plural>/<namespace>/<name>. The core group is "core"; "-" is the
 * namespace of what has none.
 */
import { customKinds } from '../../proto/schema/custom/definitions.ts'
import type { KnownKinds } from '../../proto/schema/kind-registry.ts'
import { resourceOf, resources, unknownKind } from '../../proto/schema/schema.ts'
import type { Kind } from '../../proto/gen/types.ts'

/** Every object's key begins with this; keys of other use (leadership) do not. */
export const OBJECTS_PREFIX = '/gantry/'

export interface ObjectKey {
  readonly kind: Kind
  /** '' for cluster-scoped kinds. */
  readonly namespace: string
  readonly name: string
}

const NO_NAMESPACE = '-'
const prefixes = new Map(
  resources.map(({ kind, group, plural }) => [kind, `${OBJECTS_PREFIX}${group === '' ? 'core' : group}/${plural}/`]),
)
const kinds = new Map(resources.map(({ kind }) => [prefixes.get(kind)!, kind as Kind]))

/** What the keys of a kind begin with; with a namespace, of the kind's objects in it. */
export function kindPrefix(kind: Kind, namespace?: string): string {
  const prefix = prefixes.get(kind) ?? customPrefix(kind)
  return namespace === undefined ? prefix : `${prefix}${namespace}/`
}

function customPrefix(kind: Kind): string {
  const resource = customKinds.get(kind)?.resource
  if (resource === undefined) throw unknownKind(kind)
  return `${OBJECTS_PREFIX}${resource.group}/${resource.plural}/`
}

/** The key of an object; the namespace of a cluster-scoped kind is not looked at. */
export function objectKey(kind: Kind, namespace: string, name: string): string {
  return `${kindPrefix(kind)}${resourceOf(kind).namespaced ? namespace : NO_NAMESPACE}/${name}`
}

/**
 * Of the key of an object, of whatever kind, what it and all others of its kind begin with; undefined for what is no
 * such key.
 */
export function prefixOf(key: string): string | undefined {
  return /^\/gantry\/[^/]+\/[^/]+\/(?=[^/]+\/[^/]+$)/.exec(key)?.[0]
}

/** What a key names, or undefined if it is no object of a known kind; without `custom` of one of the schema. */
export function parseKey(key: string, custom?: Pick<KnownKinds, 'customByPlural'>): ObjectKey | undefined {
  // Every change of the store comes by here: only the parts that are needed are cut out.
  if (!key.startsWith(OBJECTS_PREFIX)) return undefined
  const afterGroup = key.indexOf('/', OBJECTS_PREFIX.length)
  const afterPlural = key.indexOf('/', afterGroup + 1)
  const afterSegment = key.indexOf('/', afterPlural + 1)
  if (afterGroup === -1 || afterPlural <= afterGroup || afterSegment <= afterPlural + 1) return undefined
  const segment = key.slice(afterPlural + 1, afterSegment)
  const name = key.slice(afterSegment + 1)
  if (name === '' || name.includes('/')) return undefined
  const kind =
    kinds.get(key.slice(0, afterPlural + 1)) ??
    custom?.customByPlural(key.slice(OBJECTS_PREFIX.length, afterGroup), key.slice(afterGroup + 1, afterPlural))?.id
  if (kind === undefined) return undefined
  const { namespaced } = resourceOf(kind)
  if (namespaced === (segment === NO_NAMESPACE)) return undefined
  return { kind, namespace: namespaced ? segment : '', name }
}
