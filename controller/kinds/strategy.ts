/**
 * The contract of a strategy: all that is special about one kind, told in one place. The API core, deletion, the watch
 * cache and the faces are written for every kind alike and never name one; what they cannot read from the schema they
 * ask the kind's strategy. The word and the division of labour are those of Kubernetes' registry
 * (pkg/registry/…/strategy.go).
 *
 * A strategy is a record of pure functions and facts. Every member may be absent: a kind with nothing special is
 * `plain`. Nothing in it waits, reads a clock or keeps state; what has to be looked up elsewhere is the affair of an
 * admission plugin, and what has to be claimed in the same transaction that of a participant.
 *
 * The order of one write:
 *
 *   create   status emptied → prepareForCreate → defaults → plugins → canonicalize → the schema's rules → validate
 *   update   status kept → prepareForUpdate → defaults → plugins → the schema's rules → validate
 *   delete   deletion.refuse → finalizers and marks → deletion.begin → gone, unless deletion.isHeld or a finalizer
 *
 * An object that is given to be changed is the caller's own copy. Errors are GantryErrors: Forbidden, InvalidArgument.
 */
import type { CustomKind } from '../../proto/schema/custom/definitions.ts'
import type { KindRegistry } from '../../proto/schema/kind-registry.ts'
import type { ErrorDetail, Kind, Resources } from '../../proto/gen/types.ts'
import type { DeleteOptions, ObjectSubresource } from '../api/contract.ts'
import type { ParticipantName } from '../api/participant.ts'
import type { IndexName } from '../informer/contract.ts'

/** Who writes: a user, or a part of the control plane, which may change what users may not. */
export type Author = 'user' | 'controller'

export interface Strategy<K extends Kind = Kind> {
  /**
   * Sets, in place, what a new object begins with, whatever the request said. Its status, unless the schema's option
   * `statusAtCreation` lets the request say it, is that of an object of which nothing was observed yet. What is set
   * here belongs to whoever creates the object.
   */
  prepareForCreate?(object: Resources[K], now: number): void
  /**
   * Puts back, in place, what an update cannot change, and carries over what it need not mention. The status of `next`
   * is already the stored one.
   */
  prepareForUpdate?(next: Resources[K], stored: Resources[K], request: { author: Author; now: number }): void
  /**
   * Sets, in place, what follows from a new object as plugins have left it, just before it is validated. Nobody owns
   * these fields: an apply that leaves them out does not take them away.
   */
  canonicalize?(object: Resources[K]): void
  /**
   * What is wrong with an object in ways that only the control plane can see, because they need more than the schema
   * (compiled expressions). Asked only of what is valid otherwise. `stored` is undefined for a new object.
   */
  validate?(next: Resources[K], stored: Resources[K] | undefined): readonly ErrorDetail[]
  /** One sentence for each thing that is accepted and probably not meant. */
  warnings?(object: Resources[K]): readonly string[]
  /** What a configuration that is applied claims, in place, where it is written otherwise than it is stored. */
  prepareConfiguration?(configuration: Resources[K]): void
  /** Parts of an object that are written by subresources of their own. */
  readonly subresources?: Readonly<Partial<Record<ObjectSubresource, SubresourceStrategy<K>>>>
  /** The subresource as which plugins see every change that the control plane itself makes to such an object. */
  readonly controllerSubresource?: ObjectSubresource
  readonly deletion?: DeletionStrategy<K>
  /** Who takes part in the transaction of every write of such an object, in this order (api/participant.ts). */
  readonly participants?: readonly ParticipantName[]
  /** Besides `owner`. */
  readonly indexes?: Readonly<Partial<Record<Exclude<IndexName, 'owner'>, IndexStrategy<K>>>>
  /**
   * The write, or the request to delete, is acknowledged only once this controller's cache shows it: other requests are
   * admitted by what the cache says of such objects, and must obey from then on.
   */
  readonly acknowledgedWhenCached?: 'write' | 'deletion'
  /** The kind that such an object defines while the program runs; undefined while it defines none. */
  defines?(object: Resources[K], kinds: KindRegistry): CustomKind | undefined
}

export interface SubresourceStrategy<K extends Kind> {
  /** The stored object with this part of the wanted one: everything else that the request says counts for nothing. */
  merge(wanted: Resources[K], stored: Resources[K]): Resources[K]
  /** Written on behalf of the control plane whoever asks: what users may not change otherwise. */
  readonly author?: Author
  /** It can only be replaced, neither read nor patched by its own path. */
  readonly replaceOnly?: boolean
}

export interface DeletionStrategy<K extends Kind> {
  /** Throws Forbidden for an object that may not be deleted. */
  refuse?(stored: Resources[K]): void
  /** What becomes of what the object owns, if nothing says so, neither the request nor a finalizer; else BACKGROUND. */
  readonly propagation?: DeleteOptions['propagation']
  /** Finalizers that a request to delete adds; the reconciler that removes them names them in its README. */
  readonly finalizers?: readonly string[]
  /** Seconds that the object is given to end by itself; without it, none. `wanted`: what the request asks for. */
  graceSeconds?(stored: Resources[K], wanted: number | undefined): number
  /** Marks a deletion that begins, in place, beyond the metadata. */
  begin?(object: Resources[K]): void
  /** Whether anything but finalizers still holds an object that is being deleted. */
  isHeld?(object: Resources[K]): boolean
}

export interface IndexStrategy<K extends Kind> {
  /** The field whose exact value a field selector may ask for, answered from the index. */
  readonly field: string
  keys(object: Resources[K]): readonly string[]
}

/** Of a kind about which there is nothing to say. */
export const plain: Strategy<never> = {}
