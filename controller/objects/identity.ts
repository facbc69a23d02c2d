/** Which object a request means. */
import { GantryError } from '../../proto/base/errors.ts'
import type { KnownKinds } from '../../proto/schema/kind-registry.ts'
import { findAnyKind } from '../../proto/schema/kinds.ts'
import { problemError } from '../../proto/base/problem.ts'
import { describeObject, resourceOf } from '../../proto/schema/schema.ts'
import type { AnyResource, Kind, ObjectRef } from '../../proto/gen/types.ts'

export const DEFAULT_NAMESPACE = 'default'
/** Where the leases of nodes are looked for. https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats */
export const NODE_LEASES_NAMESPACE = 'kube-node-lease'
/**
 * There from the beginning.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#initial-namespaces
 */
export const FIRST_NAMESPACES: readonly string[] = [
  DEFAULT_NAMESPACE,
  NODE_LEASES_NAMESPACE,
  'kube-public',
  'kube-system',
]

/** "Pod default/web": an object that there may be no more of than this. */
export function named(kind: Kind, namespace: string, name: string): string {
  return describeObject({ kind, metadata: { namespace, name } } as AnyResource)
}

/**
 * The kind of that name and version, if it is one that the store keeps. InvalidArgument and Unsupported, with the
 * nearest name.
 */
export function storedKind(apiVersion: string, kind: string, kinds: KnownKinds): Kind {
  const found = findAnyKind(apiVersion, kind, kinds)
  if ('problem' in found) throw problemError([found.problem])
  if (resourceOf(found.kind).streamed === true)
    throw new GantryError('InvalidArgument', 'events are not objects of the store', {
      details: [{ field: 'kind', value: kind, message: 'is read through Cluster.Events', remedy: 'gantry events' }],
    })
  return found.kind
}

/** The object's namespace: `default` where none is said; InvalidArgument for one said of a kind that has none. */
export function namespaceOf(kind: Kind, namespace: string): string {
  if (resourceOf(kind).namespaced) return namespace === '' ? DEFAULT_NAMESPACE : namespace
  if (namespace !== '')
    throw new GantryError('InvalidArgument', `a ${kind} has no namespace`, {
      details: [
        { field: 'metadata.namespace', value: namespace, message: `${kind} is cluster-scoped`, remedy: 'leave it out' },
      ],
    })
  return ''
}

/** The kind, namespace and name of a reference that must be complete. */
export function resolve(
  ref: ObjectRef | undefined,
  kinds: KnownKinds,
): { kind: Kind; namespace: string; name: string } {
  if (ref === undefined)
    throw new GantryError('InvalidArgument', 'the request names no object', { details: [{ field: 'ref' }] })
  const kind = storedKind(ref.apiVersion, ref.kind, kinds)
  if (ref.name === '')
    throw new GantryError('InvalidArgument', `the request names no ${kind}`, {
      details: [{ field: 'ref.name', message: 'is empty' }],
    })
  return { kind, namespace: namespaceOf(kind, ref.namespace), name: ref.name }
}
