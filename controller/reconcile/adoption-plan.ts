/**
 * Whose an object is: a controller owns what carries its owner reference and matches its selector, takes what matches
 * and has no controller, and lets go what no longer matches.
 * https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#non-template-pod-acquisitions
 */
import type { LabelMatcher } from '../../proto/objects/selector.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import { controllerOf } from '../../proto/objects/owners.ts'
import type { AnyResource } from '../../proto/gen/types.ts'

export interface AdoptionPlan<T> {
  readonly owned: readonly T[]
  readonly adopt: readonly T[]
  readonly release: readonly T[]
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
    const controller = controllerOf(candidate)
    const matches = selector.matches(candidate.metadata.labels)
    if (controller?.uid === owner.metadata.uid) {
      if (matches || isDeleting(candidate) || isDeleting(owner)) owned.push(candidate)
      else release.push(candidate)
    } else if (controller === undefined && matches && !isDeleting(candidate) && !isDeleting(owner))
      adopt.push(candidate)
  }
  return { owned, adopt, release }
}
