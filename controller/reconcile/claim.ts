/**
 * Whose an object is: a controller owns what carries its owner reference and matches its selector, takes what matches and has no controller,
 * and lets go what no longer matches. https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#non-template-pod-acquisitions
 */
import type { LabelMatcher } from '../../proto/api/selector.ts'
import { apiVersionOf, resourceOf } from '../../proto/api/schema.ts'
import type { AnyResource, Kind, OwnerReference, Resources } from '../../proto/gen/types.ts'
import type { Change, Informer } from '../informer/contract.ts'
import { makeKey } from './key.ts'

export interface Claim<T> {
  readonly owned: readonly T[]
  readonly adopt: readonly T[]
  readonly release: readonly T[]
}

export function controllerOf(object: AnyResource): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(({ controller }) => controller === true)
}

export function controllerReference(owner: AnyResource): OwnerReference {
  const { name, uid } = owner.metadata
  return { apiVersion: apiVersionOf(resourceOf(owner.kind)), kind: owner.kind, name, uid, controller: true, blockOwnerDeletion: true }
}

/** An owner being deleted takes nothing more; an object being deleted is neither taken nor let go. */
export function claim<T extends AnyResource>(owner: AnyResource, selector: LabelMatcher, candidates: readonly T[]): Claim<T> {
  const owned: T[] = []
  const adopt: T[] = []
  const release: T[] = []
  for (const candidate of candidates) {
    const { labels, deletionTimestamp } = candidate.metadata
    const controller = controllerOf(candidate)
    const matches = selector.matches(labels)
    if (controller?.uid === owner.metadata.uid) {
      if (matches || deletionTimestamp !== undefined || owner.metadata.deletionTimestamp !== undefined) owned.push(candidate)
      else release.push(candidate)
    } else if (controller === undefined && matches && deletionTimestamp === undefined && owner.metadata.deletionTimestamp === undefined) adopt.push(candidate)
  }
  return { owned, adopt, release }
}

/** The controllers that an object had and has, as keys; for each of the given kind. */
export function controllerKeys(kind: Kind, change: Change): string[] {
  const keys = new Set<string>()
  for (const object of [change.previous?.object, change.cached.object] as (AnyResource | undefined)[]) {
    const controller = object === undefined ? undefined : controllerOf(object)
    if (controller?.kind === kind) keys.add(makeKey(object!.metadata.namespace, controller.name))
  }
  return [...keys]
}

/** Objects of a kind that have no controller, by namespace: what might be adopted. Fed with every change. */
export class Orphans<K extends Kind> {
  readonly #kind: K
  readonly #informer: Informer
  readonly #names = new Map<string, Set<string>>()

  constructor(kind: K, informer: Informer) {
    this.#kind = kind
    this.#informer = informer
  }

  /** True if the object of the change is such an orphan now. */
  see(change: Change<K>): boolean {
    const object = change.cached.object as AnyResource
    const { namespace, name } = object.metadata
    const orphan = change.type !== 'deleted' && controllerOf(object) === undefined
    const names = this.#names.get(namespace)
    if (orphan) this.#names.set(namespace, (names ?? new Set()).add(name))
    else if (names?.delete(name) === true && names.size === 0) this.#names.delete(namespace)
    return orphan
  }

  in(namespace: string): Resources[K][] {
    const lister = this.#informer.lister(this.#kind)
    return [...this.#names.get(namespace) ?? []].flatMap((name) => lister.get(namespace, name) ?? [])
  }
}
