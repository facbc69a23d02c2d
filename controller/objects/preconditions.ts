/** What a write may ask of the state that it changes: which object it is, and which version of it. */
import { GantryError } from '../../proto/base/errors.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import type { AnyResource, ObjectMeta } from '../../proto/gen/types.ts'

/** Conflict for an object that was read before somebody else wrote it, or made it anew. */
export function checkPreconditions(metadata: ObjectMeta, stored: AnyResource): void {
  const { uid, resourceVersion } = stored.metadata
  if (metadata.uid !== '' && metadata.uid !== uid) throw uidConflict(stored, metadata.uid)
  if (!isUnconditional(metadata.resourceVersion) && metadata.resourceVersion !== resourceVersion)
    throw resourceVersionConflict(stored, metadata.resourceVersion)
}

/** A write that names no version is of whichever there is; so is one that names 0, which none has. */
export function isUnconditional(resourceVersion: string): boolean {
  return resourceVersion === '' || resourceVersion === '0'
}

/** Conflict: the object has been deleted and made again since the caller read it. */
export function uidConflict(stored: AnyResource, uid: string): GantryError {
  return new GantryError('Conflict', `${describeObject(stored)} is another object of that name now`, {
    details: [
      {
        field: 'metadata.uid',
        value: uid,
        message: `the object there has uid ${stored.metadata.uid}`,
        remedy: 'read it again',
      },
    ],
  })
}

/** Conflict: somebody wrote the object since the caller read it. */
export function resourceVersionConflict(stored: AnyResource, resourceVersion: string): GantryError {
  return new GantryError('Conflict', `${describeObject(stored)} has changed since it was read`, {
    details: [
      {
        field: 'metadata.resourceVersion',
        value: resourceVersion,
        message: `the object is at ${stored.metadata.resourceVersion} now`,
        remedy: 'read it again and repeat the change',
      },
    ],
  })
}
