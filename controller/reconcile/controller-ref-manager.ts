/**
 * Keeps the objects of one kind claimed by their controllers of another: tells whom a change concerns, and writes owner
 * references.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import { podSelectorOf } from '../../proto/objects/pod-selection.ts'
import { labelSelectorMatcher, type LabelMatcher } from '../../proto/objects/selector.ts'
import type { AnyResource, Kind, OwnerReference, Resources } from '../../proto/gen/types.ts'
import type { WriteContext } from '../api/contract.ts'
import type { Change } from '../informer/contract.ts'
import { controllerOf, controllerReference } from '../../proto/objects/owners.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import { planAdoption } from './adoption-plan.ts'
import { keyOf, makeKey } from '../runner/key.ts'
import type { WriteExpectations } from './write-expectations.ts'
import type { ReconcileParts } from '../runner/runner.ts'

export interface ControllerRefManagerOptions<O extends Kind, K extends Kind> {
  readonly owner: O
  readonly owned: K
  readonly context: WriteContext
  readonly progress: WriteExpectations
  /** Whether an object without controller is worth having. */
  readonly adoptable: (object: Resources[K]) => boolean
}

export class ControllerRefManager<O extends Kind, K extends Kind> {
  readonly #parts: ReconcileParts
  readonly #options: ControllerRefManagerOptions<O, K>
  /** By namespace, names of objects that have no controller. */
  readonly #orphans = new Map<string, Set<string>>()

  constructor(parts: ReconcileParts, options: ControllerRefManagerOptions<O, K>) {
    this.#parts = parts
    this.#options = options
  }

  /**
   * Keys of the owners that a change concerns: the controllers that the object had and has, and, if it has none, all
   * that select it. To be told every change.
   */
  keys(change: Change<K>): string[] {
    const object = change.cached.object as AnyResource
    const { namespace, labels } = object.metadata
    const keys = new Set<string>()
    for (const state of [change.previous?.object as AnyResource | undefined, object]) {
      const controller = state === undefined ? undefined : controllerOf(state)
      if (controller?.kind === this.#options.owner) keys.add(makeKey(namespace, controller.name))
    }
    if (this.#noteOrphan(object, change.type)) {
      for (const owner of this.#parts.informer.lister(this.#options.owner).list(namespace))
        if (matcherOf(owner).matches(labels)) keys.add(keyOf(owner))
    }
    return [...keys]
  }

  /** The owner's objects, after those that it is to adopt and to release are written. */
  async settle(key: string, owner: Resources[O]): Promise<Resources[K][]> {
    const { namespace, uid } = owner.metadata
    const { owned: kind, adoptable, progress } = this.#options
    const lister = this.#parts.informer.lister(kind)
    const orphans = [...(this.#orphans.get(namespace) ?? [])]
      .flatMap((name) => lister.get(namespace, name) ?? [])
      .filter(adoptable)
    const { owned, adopt, release } = planAdoption(owner, matcherOf(owner), [
      ...lister.byIndex('owner', uid),
      ...orphans,
    ])
    if (adopt.length > 0) await this.#requireCurrent(owner)
    const written = await Promise.all([
      ...adopt.map((object) => this.#setOwners(object, (owners) => [...owners, controllerReference(owner)])),
      ...release.map((object) => this.#setOwners(object, (owners) => owners.filter((other) => other.uid !== uid))),
    ])
    for (const object of written) progress.wrote(key, object)
    return [...owned, ...written.filter((object) => controllerOf(object)?.uid === uid)]
  }

  /** True if the object is without controller now. */
  #noteOrphan(object: AnyResource, type: Change['type']): boolean {
    const { namespace, name } = object.metadata
    const orphan = type !== 'deleted' && controllerOf(object) === undefined
    const names = this.#orphans.get(namespace)
    if (orphan) this.#orphans.set(namespace, (names ?? new Set()).add(name))
    else if (names?.delete(name) === true && names.size === 0) this.#orphans.delete(namespace)
    return orphan
  }

  /** Nothing is adopted for an owner that the cache shows though it is gone. */
  async #requireCurrent(owner: Resources[O]): Promise<void> {
    const { namespace, name, uid } = owner.metadata
    const current = await this.#parts.api.get(this.#options.owner, namespace, name)
    if (current.metadata.uid !== uid || isDeleting(current))
      throw new GantryError('Conflict', `${describeObject(owner)} has been deleted since: it adopts nothing`)
  }

  /** The object as stored afterwards: unchanged if it is another one now, or has another controller. */
  #setOwners(object: Resources[K], change: (owners: OwnerReference[]) => OwnerReference[]): Promise<Resources[K]> {
    const { namespace, name, uid } = object.metadata
    const controller = controllerOf(object)?.uid
    return this.#parts.api.mutate(
      this.#options.owned,
      namespace,
      name,
      '',
      (stored) => {
        if (stored.metadata.uid !== uid || controllerOf(stored)?.uid !== controller) return false
        stored.metadata.ownerReferences = change(stored.metadata.ownerReferences ?? [])
        return undefined
      },
      this.#options.context,
    )
  }
}

function matcherOf(owner: AnyResource): LabelMatcher {
  return labelSelectorMatcher(podSelectorOf(owner))
}
