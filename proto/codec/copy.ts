/** Copies of objects, to change them in place. */
import { copier } from '../gen/copies.ts'
import type { AnyResource, Kind, Resources } from '../gen/types.ts'
import { clone } from '../base/clone.ts'
import { customKinds } from '../schema/custom/definitions.ts'

/**
 * A copy of an object, all the way down but for the fields in managedFields, which are values. What is undefined in it
 * is absent from the copy.
 */
export function copyObject<T extends AnyResource | Resources[Kind]>(object: T): T {
  return (customKinds.get(object.kind) === undefined ? (copier(object.kind) ?? clone)(object) : clone(object)) as T
}
