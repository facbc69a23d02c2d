/** Deletes what has lost its owners, and lets owners go that wait for what they own. For every kind. */
import { GantryError } from '../../../proto/base/errors.ts'
import { isKind, resourceOf } from '../../../proto/schema/schema.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { hasFinalizer, withoutFinalizer } from '../../../proto/objects/deletion.ts'
import type { AnyResource, Kind, OwnerReference } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { FOREGROUND_FINALIZER, ORPHAN_FINALIZER } from '../../api/deletion.ts'
import type { Change } from '../../informer/contract.ts'
import { watchAnyKind, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { isWaiting, planOwned, planOwner, type OwnerState } from './plan.ts'

export class GarbageReconciler implements Reconciler {
  readonly name = 'garbage'
  readonly concurrency = 32
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.watches = [watchAnyKind((change) => this.#keys(change))]
  }

  async reconcile(key: string): Promise<undefined> {
    const object = this.#find(key)
    if (object === undefined) return undefined
    await this.#settleOwner(object)
    await this.#settleOwned(object)
    return undefined
  }

  /** Itself when its owners or its deletion are new; what it owned once it is gone; owners that wait for it. */
  #keys({ type, cached, previous }: Change): string[] {
    const object = cached.object as AnyResource
    if (type === 'deleted') return [...this.#dependents(object.metadata.uid), ...this.#waitingOwners(object)].map(keyOf)
    const { ownerReferences = [], deletionTimestamp, finalizers = [] } = object.metadata
    const before = previous?.object.metadata
    const newOwners = ownerReferences.length > 0 && !sameJson(ownerReferences, before?.ownerReferences)
    const newDeletion =
      deletionTimestamp !== undefined &&
      (before?.deletionTimestamp === undefined || !sameJson(finalizers, before.finalizers ?? []))
    const lostOwners = sameJson(ownerReferences, before?.ownerReferences ?? [])
      ? []
      : this.#waitingOwners(before === undefined ? object : (previous!.object as AnyResource))
    return [...(newOwners || newDeletion ? [object] : []), ...lostOwners].map(keyOf)
  }

  #dependents(uid: string): AnyResource[] {
    return this.#parts.informer.kinds
      .kinds()
      .flatMap((kind) => this.#parts.informer.lister(kind).byIndex('owner', uid) as AnyResource[])
  }

  #waitingOwners(object: AnyResource): AnyResource[] {
    return (object.metadata.ownerReferences ?? []).flatMap(({ uid }) => {
      const owner = this.#parts.informer.byUid(uid)
      return owner !== undefined && isWaiting(owner) ? [owner] : []
    })
  }

  #find(key: string): AnyResource | undefined {
    const [kind, namespace, name] = key.split('/') as [Kind, string, string]
    return isKind(kind) ? this.#parts.informer.lister(kind).get(namespace, name) : undefined
  }

  async #settleOwner(object: AnyResource): Promise<void> {
    const {
      metadata: { finalizers = [], deletionTimestamp, uid },
    } = object
    if (
      deletionTimestamp === undefined ||
      !(finalizers.includes(FOREGROUND_FINALIZER) || finalizers.includes(ORPHAN_FINALIZER))
    )
      return
    await this.#parts.caughtUp() // a dependent made a moment ago counts too
    const plan = planOwner(object, (owner) => this.#dependents(owner))
    switch (plan.kind) {
      case 'nothing':
        return
      case 'orphan dependents':
        await Promise.all(plan.dependents.map((dependent) => this.#disown(dependent, [uid])))
        return this.#removeFinalizer(object, ORPHAN_FINALIZER)
      case 'delete dependents':
        await Promise.all(plan.dependents.map((dependent) => this.#settleOwned(dependent)))
        return plan.done ? this.#removeFinalizer(object, FOREGROUND_FINALIZER) : undefined
    }
  }

  async #settleOwned(object: AnyResource): Promise<void> {
    const { ownerReferences = [], deletionTimestamp, namespace, name, uid } = object.metadata
    if (ownerReferences.length === 0 || deletionTimestamp !== undefined) return
    const states = new Map(
      await Promise.all(
        ownerReferences.map(async (reference) => [reference, await this.#stateOf(object, reference)] as const),
      ),
    )
    const plan = planOwned({
      object,
      stateOf: (reference) => states.get(reference)!,
      hasDependents: this.#dependents(uid).length > 0,
    })
    switch (plan.kind) {
      case 'keep':
        return
      case 'disown':
        return this.#disown(object, plan.uids)
      case 'delete':
        return ifThere(
          this.#parts.api.delete(
            object.kind,
            namespace,
            name,
            { uid, resourceVersion: object.metadata.resourceVersion, propagation: plan.propagation },
            this.#context,
          ),
        )
    }
  }

  /** An owner that the cache does not show is asked for once more, consistently, before it counts as absent. */
  async #stateOf(object: AnyResource, { apiVersion, kind: kindName, name, uid }: OwnerReference): Promise<OwnerState> {
    const kind = this.#parts.informer.kinds.find(apiVersion, kindName)
    if (kind === undefined) return 'present'
    const { namespaced } = resourceOf(kind)
    if (namespaced && object.metadata.namespace === '') return 'present' // such a reference cannot be looked up
    const namespace = namespaced ? object.metadata.namespace : ''
    const owner = this.#parts.informer.lister(kind).get(namespace, name) as AnyResource | undefined
    if (owner?.metadata.uid === uid) return isWaiting(owner) ? 'waiting' : 'present'
    try {
      const current = (await this.#parts.api.get(kind, namespace, name)) as AnyResource
      if (current.metadata.uid !== uid) return 'absent'
      return isWaiting(current) ? 'waiting' : 'present'
    } catch (thrown) {
      if (GantryError.is(thrown, 'NotFound')) return 'absent'
      throw thrown
    }
  }

  #disown(object: AnyResource, uids: readonly string[]): Promise<void> {
    return this.#change(object, (stored) => {
      const { ownerReferences = [] } = stored.metadata
      const left = ownerReferences.filter(({ uid }) => !uids.includes(uid))
      if (left.length === ownerReferences.length) return false
      stored.metadata.ownerReferences = left
      return true
    })
  }

  #removeFinalizer(object: AnyResource, finalizer: string): Promise<void> {
    return this.#change(object, (stored) => {
      if (!hasFinalizer(stored, finalizer)) return false
      stored.metadata.finalizers = withoutFinalizer(stored, finalizer)
      return true
    })
  }

  #change(object: AnyResource, change: (stored: AnyResource) => boolean): Promise<void> {
    const { namespace, name, uid } = object.metadata
    return ifThere(
      this.#parts.api.mutate(
        object.kind,
        namespace,
        name,
        '',
        (stored) => (stored.metadata.uid === uid && change(stored) ? undefined : false),
        this.#context,
      ),
    )
  }
}

function keyOf({ kind, metadata: { namespace, name } }: AnyResource): string {
  return `${kind}/${namespace}/${name}`
}

/** That it is gone already is what was wanted. */
async function ifThere(write: Promise<unknown>): Promise<void> {
  try {
    await write
  } catch (thrown) {
    if (!GantryError.is(thrown, 'NotFound')) throw thrown
  }
}
