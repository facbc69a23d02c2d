/**
 * Whose an object is: a controller owns what carries its owner reference and matches its selector, takes what matches
 * and has no controller, and lets go what no longer matches.
 * https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#non-template-pod-acquisitions
 */
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import type { LabelMatcher } from '../../proto/objects/selector.ts'
import type { AnyResource, OwnerReference } from '../../proto/gen/types.ts'

export interface AdoptionPlan<T> {
  readonly owned: readonly T[]
  readonly adopt: readonly T[]
  readonly release: readonly T[]
}

export function controllerOf(object: AnyResource): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(({ controller }) => controller === true)
}

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

/** An owner being deleted takes nothing more; an object being deleted is neither taken nor let go. */
export function planAdoption<T extends AnyResource>(
  owner: AnyResource,
  selector: LabelMatcher,
  candidates: readonly T[],
): AdoptionPlan<T> {
  const owned: T[] = []
  const adopt: T[] = []
  const release: T[] = []
  for (const candidate of candidates) {
    const { labels, deletionTimestamp } = candidate.metadata
    const controller = controllerOf(candidate)
    const matches = selector.matches(labels)
    if (controller?.uid === owner.metadata.uid) {
      if (matches || deletionTimestamp !== undefined || owner.metadata.deletionTimestamp !== undefined)
        owned.push(candidate)
      else release.push(candidate)
    } else if (
      controller === undefined &&
      matches &&
      deletionTimestamp === undefined &&
      owner.metadata.deletionTimestamp === undefined
    )
      adopt.push(candidate)
  }
  return { owned, adopt, release }
}
