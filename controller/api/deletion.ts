/**
 * What a deletion does, step by step. Pure. An object goes at once unless something holds it: finalizers, a namespace's
 * contents, a pod's processes on its node. Then it carries deletionTimestamp until whatever holds it has let go.
 * https://kubernetes.io/docs/concepts/architecture/garbage-collection/ and
 * …/concepts/workloads/pods/pod-lifecycle/#pod-termination
 */
import { GantryError } from '../../proto/base/errors.ts'
import { formatTime, parseTime } from '../../proto/base/time.ts'
import type { AnyResource, Kind, ObjectMeta, Pod, Resources } from '../../proto/gen/types.ts'
import { uidConflict, resourceVersionConflict } from './admission.ts'
import type { DeleteOptions } from './contract.ts'
import { PROTECTED_NAMESPACES } from './identity.ts'

/** What the garbage collector removes once dependents are gone, or have no owner any more. */
export const FOREGROUND_FINALIZER = 'foregroundDeletion'
export const ORPHAN_FINALIZER = 'orphan'

/** Of a CustomResourceDefinition: goes when no object of its kind is left. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io'

/** `removed` when nothing holds the object; otherwise the object to be stored, the same one if nothing changes. */
export type DeletionOutcome<K extends Kind> = 'removed' | Resources[K]

/**
 * The first or a further request to delete. Conflict if a precondition does not hold; Forbidden for the namespace that
 * is always there.
 */
export function requestDeletion<K extends Kind>(
  stored: Resources[K],
  options: DeleteOptions,
  now: number,
): DeletionOutcome<K> {
  const { uid, resourceVersion } = options
  if (uid !== undefined && uid !== stored.metadata.uid) throw uidConflict(stored, uid)
  if (resourceVersion !== undefined && resourceVersion !== stored.metadata.resourceVersion)
    throw resourceVersionConflict(stored, resourceVersion)
  if (stored.kind === 'Namespace' && PROTECTED_NAMESPACES.includes(stored.metadata.name))
    throw new GantryError(
      'Forbidden',
      `namespaces "${stored.metadata.name}" is forbidden: this namespace may not be deleted`,
    )
  const metadata = withCleanup(stored, withPropagation(stored.metadata, options.propagation))
  const grace = graceOf(stored, options.gracePeriodSeconds)
  const marked = { ...stored, metadata: withDeletionTimestamp(metadata, grace, now) }
  if (marked.kind === 'Namespace')
    (marked as Resources['Namespace']).status = { ...(marked as Resources['Namespace']).status, phase: 'Terminating' }
  if (canBeRemoved(marked)) return 'removed'
  return marked as Resources[K]
}

/** What a write makes of an object that is being deleted: the last finalizer gone, it goes. */
export function settleDeletion<K extends Kind>(next: Resources[K]): DeletionOutcome<K> {
  return next.metadata.deletionTimestamp !== undefined && canBeRemoved(next) ? 'removed' : next
}

/** The pod's processes have ended: its grace is over. */
export function releasePod(stored: Pod): DeletionOutcome<'Pod'> {
  if (stored.metadata.deletionTimestamp === undefined) return stored
  return settleDeletion<'Pod'>({ ...stored, metadata: { ...stored.metadata, deletionGracePeriodSeconds: 0 } })
}

/** Nothing holds it: no finalizer, no contents, no process. */
function canBeRemoved(object: AnyResource): boolean {
  if ((object.metadata.finalizers ?? []).length > 0) return false
  switch (object.kind) {
    case 'Namespace':
      return (object.spec.finalizers ?? []).length === 0
    case 'Pod':
      return object.metadata.deletionGracePeriodSeconds === 0
    default:
      return true
  }
}

/** Seconds the object is given: nothing but a pod that may have processes gets any. */
function graceOf(object: AnyResource, wanted: number | undefined): number {
  if (object.kind !== 'Pod') return 0
  const { spec, status } = object
  const idle =
    spec.nodeName === undefined || spec.nodeName === '' || status.phase === 'Succeeded' || status.phase === 'Failed'
  return idle ? 0 : Math.max(0, wanted ?? spec.terminationGracePeriodSeconds)
}

/** Of the last year that RFC 3339 has a form for. */
const LAST_TIME = Date.UTC(9999, 11, 31, 23, 59, 59)

/** deletionTimestamp is when the grace ends; a deletion under way is only ever hastened. */
function withDeletionTimestamp(metadata: ObjectMeta, grace: number, now: number): ObjectMeta {
  const { deletionTimestamp, deletionGracePeriodSeconds, generation } = metadata
  const ends = Math.min(now + grace * 1000, LAST_TIME)
  if (deletionTimestamp === undefined)
    return {
      ...metadata,
      deletionTimestamp: formatTime(ends),
      deletionGracePeriodSeconds: grace,
      generation: generation === undefined ? undefined : generation + 1,
    }
  if (grace >= (deletionGracePeriodSeconds ?? 0)) return metadata
  return {
    ...metadata,
    deletionTimestamp: formatTime(Math.min(ends, parseTime(deletionTimestamp))),
    deletionGracePeriodSeconds: grace,
  }
}

/** A definition stays until the objects of its kind are gone. */
function withCleanup({ kind }: AnyResource, metadata: ObjectMeta): ObjectMeta {
  const { finalizers = [], deletionTimestamp } = metadata
  if (kind !== 'CustomResourceDefinition' || deletionTimestamp !== undefined || finalizers.includes(CLEANUP_FINALIZER))
    return metadata
  return { ...metadata, finalizers: [...finalizers, CLEANUP_FINALIZER] }
}

/** Without a word on it, what an earlier request said holds. */
function withPropagation(metadata: ObjectMeta, propagation: DeleteOptions['propagation']): ObjectMeta {
  if (propagation === undefined) return metadata
  const others = (metadata.finalizers ?? []).filter(
    (finalizer) => finalizer !== FOREGROUND_FINALIZER && finalizer !== ORPHAN_FINALIZER,
  )
  switch (propagation) {
    case 'BACKGROUND':
      return { ...metadata, finalizers: others }
    case 'FOREGROUND':
      return { ...metadata, finalizers: [...others, FOREGROUND_FINALIZER] }
    case 'ORPHAN':
      return { ...metadata, finalizers: [...others, ORPHAN_FINALIZER] }
  }
}
