/**
 * Whose an object is: its owner references.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/
 */
import { apiVersionOf, resourceOf } from '../schema/schema.ts'
import type { AnyResource, ObjectMeta, OwnerReference } from '../gen/types.ts'

interface Owned {
  readonly metadata: Pick<ObjectMeta, 'ownerReferences'>
}

/** The reference to the one owner that manages the object; validation refuses a second one. */
export function controllerOf({ metadata: { ownerReferences } }: Owned): OwnerReference | undefined {
  return ownerReferences?.find(({ controller }) => controller === true)
}

/** What `owner` writes on an object that it makes or adopts. */
export function controllerReference(owner: AnyResource): OwnerReference {
  const { name, uid } = owner.metadata
  return {
    apiVersion: apiVersionOf(resourceOf(owner.kind)),
    kind: owner.kind,
    name,
    uid,
    controller: true,
    blockOwnerDeletion: true,
  }
}

/** Whether the owner with this uid manages the object. */
export function isControlledBy(object: Owned, uid: string): boolean {
  return controllerOf(object)?.uid === uid
}

/** Whether the owner with this uid is one of the object's, managing or not. */
export function isOwnedBy({ metadata: { ownerReferences } }: Owned, uid: string): boolean {
  return ownerReferences?.some((reference) => reference.uid === uid) === true
}
