/**
 * What a deletion does, step by step. Pure. An object goes at once unless something holds it: finalizers, or what its
 * kind's strategy knows of, such as a pod's processes. Then it carries deletionTimestamp until that has let go.
 * https://kubernetes.io/docs/concepts/architecture/garbage-collection/ and
 * …/concepts/workloads/pods/pod-lifecycle/#pod-termination
 */
import { formatTime, parseTime } from '../../proto/base/time.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import type { Kind, ObjectMeta, Resources } from '../../proto/gen/types.ts'
import type { DeletionStrategy, Strategy } from '../kinds/strategy.ts'
import type { DeleteOptions } from './contract.ts'
import { resourceVersionConflict, uidConflict } from '../objects/preconditions.ts'

/** What the garbage collector removes once dependents are gone, or have no owner any more. */
export const FOREGROUND_FINALIZER = 'foregroundDeletion'
export const ORPHAN_FINALIZER = 'orphan'

/** `removed` when nothing holds the object; otherwise the object to be stored, the same one if nothing changes. */
export type DeletionOutcome<K extends Kind> = 'removed' | Resources[K]

/**
 * The first or a further request to delete. Conflict if a precondition does not hold; Forbidden for an object that the
 * strategy protects.
 */
export function requestDeletion<K extends Kind>(
  stored: Resources[K],
  { deletion }: Strategy<K>,
  options: DeleteOptions,
  now: number,
): DeletionOutcome<K> {
  const { uid, resourceVersion } = options
  if (uid !== undefined && uid !== stored.metadata.uid) throw uidConflict(stored, uid)
  if (resourceVersion !== undefined && resourceVersion !== stored.metadata.resourceVersion)
    throw resourceVersionConflict(stored, resourceVersion)
  deletion?.refuse?.(stored)
  const propagation = options.propagation ?? defaultPropagation(stored.metadata, deletion?.propagation)
  const metadata = withFinalizers(withPropagation(stored.metadata, propagation), deletion?.finalizers ?? [])
  const grace = deletion?.graceSeconds?.(stored, options.gracePeriodSeconds) ?? 0
  const marked = { ...stored, metadata: withDeletionTimestamp(metadata, grace, now) }
  deletion?.begin?.(marked)
  return canBeRemoved(marked, deletion) ? 'removed' : marked
}

/** What a write makes of an object that is being deleted: the last finalizer gone, it goes. */
export function settleDeletion<K extends Kind>(next: Resources[K], { deletion }: Strategy<K>): DeletionOutcome<K> {
  return isDeleting(next) && canBeRemoved(next, deletion) ? 'removed' : next
}

function canBeRemoved<K extends Kind>(object: Resources[K], deletion: DeletionStrategy<K> | undefined): boolean {
  return (object.metadata.finalizers ?? []).length === 0 && deletion?.isHeld?.(object) !== true
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

/** What objects of the kind wait for before they go, from the first request to delete on. */
function withFinalizers(metadata: ObjectMeta, added: readonly string[]): ObjectMeta {
  const { finalizers = [], deletionTimestamp } = metadata
  const missing = deletionTimestamp === undefined ? added.filter((name) => !finalizers.includes(name)) : []
  return missing.length === 0 ? metadata : { ...metadata, finalizers: [...finalizers, ...missing] }
}

/** That of the kind, for the first request to delete an object whose finalizers do not say it. */
function defaultPropagation(
  { deletionTimestamp, finalizers = [] }: ObjectMeta,
  ofKind: DeleteOptions['propagation'],
): DeleteOptions['propagation'] {
  const isSaid = finalizers.includes(FOREGROUND_FINALIZER) || finalizers.includes(ORPHAN_FINALIZER)
  return deletionTimestamp === undefined && !isSaid ? ofKind : undefined
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
