/**
 * What becomes of an object because of who owns it, and of an owner that is being deleted. Pure.
 * https://kubernetes.io/docs/concepts/architecture/garbage-collection/
 */
import type { AnyResource, OwnerReference } from '../../../proto/gen/types.ts'
import { FOREGROUND_FINALIZER, ORPHAN_FINALIZER } from '../../api/deletion.ts'

/** What is known of the owner that a reference names. */
export type OwnerState =
  /** It is there; also one of a kind that nobody here can look up. */
  | 'present'
  /** It is being deleted and goes after what it owns. */
  | 'waiting'
  | 'absent'

export interface OwnedSnapshot {
  readonly object: AnyResource
  readonly stateOf: (reference: OwnerReference) => OwnerState
  readonly hasDependents: boolean
}

export type OwnedPlan =
  | { readonly kind: 'keep' }
  /** Owners that are gone, or going, are struck off: others are left. */
  | { readonly kind: 'disown'; readonly uids: readonly string[] }
  | { readonly kind: 'delete'; readonly propagation: 'BACKGROUND' | 'FOREGROUND' | 'ORPHAN' }

export function planOwned({ object, stateOf, hasDependents }: OwnedSnapshot): OwnedPlan {
  const { ownerReferences = [], deletionTimestamp, finalizers = [] } = object.metadata
  if (ownerReferences.length === 0 || deletionTimestamp !== undefined) return { kind: 'keep' }
  const gone = ownerReferences.filter((reference) => stateOf(reference) !== 'present')
  if (gone.length === 0) return { kind: 'keep' }
  if (gone.length < ownerReferences.length) return { kind: 'disown', uids: gone.map(({ uid }) => uid) }
  if (finalizers.includes(ORPHAN_FINALIZER)) return { kind: 'delete', propagation: 'ORPHAN' }
  const inForeground =
    finalizers.includes(FOREGROUND_FINALIZER) ||
    (hasDependents && gone.some((reference) => stateOf(reference) === 'waiting'))
  return { kind: 'delete', propagation: inForeground ? 'FOREGROUND' : 'BACKGROUND' }
}

export type OwnerPlan =
  | { readonly kind: 'nothing' }
  /**
   * Dependents to be looked at: each is to be deleted, or disowned. `done`: none of them holds the owner back, its
   * finalizer may go.
   */
  | { readonly kind: 'delete dependents'; readonly dependents: readonly AnyResource[]; readonly done: boolean }
  /** Dependents to lose their reference, then the finalizer goes. */
  | { readonly kind: 'orphan dependents'; readonly dependents: readonly AnyResource[] }

/** `dependentsOf`: by the uid of any owner. */
export function planOwner(object: AnyResource, dependentsOf: (uid: string) => readonly AnyResource[]): OwnerPlan {
  const { deletionTimestamp, finalizers = [], uid } = object.metadata
  if (deletionTimestamp === undefined) return { kind: 'nothing' }
  const dependents = dependentsOf(uid)
  if (finalizers.includes(ORPHAN_FINALIZER)) return { kind: 'orphan dependents', dependents }
  if (!finalizers.includes(FOREGROUND_FINALIZER)) return { kind: 'nothing' }
  const blocking = dependents.some((dependent) => blocks(dependent, uid) && !waitsFor(dependent, uid, dependentsOf))
  return { kind: 'delete dependents', dependents, done: !blocking }
}

/** It is being deleted, and goes after what it owns. */
export function isWaiting({ metadata: { deletionTimestamp, finalizers } }: AnyResource): boolean {
  return deletionTimestamp !== undefined && finalizers?.includes(FOREGROUND_FINALIZER) === true
}

/** Its owner, if that waits, waits for it. */
function blocks({ metadata: { ownerReferences } }: AnyResource, owner: string): boolean {
  return ownerReferences?.some(({ uid, blockOwnerDeletion }) => uid === owner && blockOwnerDeletion === true) === true
}

/**
 * Whether an object waits for the one with this uid, or is it, by way of others perhaps: objects that own each other in
 * a circle would all wait for ever.
 */
function waitsFor(object: AnyResource, uid: string, dependentsOf: (uid: string) => readonly AnyResource[]): boolean {
  const seen = new Set<string>()
  const open = [object]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const owner = next.metadata.uid
    if (owner === uid) return true
    if (seen.has(owner) || !isWaiting(next)) continue
    seen.add(owner)
    open.push(...dependentsOf(owner).filter((dependent) => blocks(dependent, owner)))
  }
  return false
}
