/**
 * Gives CustomResourceDefinitions their names, and deletes the objects of those that are being deleted. Keys are
 * definitions.
 */
import { customKinds } from '../../../proto/schema/custom/definitions.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { isDeleting, hasFinalizer, withoutFinalizer } from '../../../proto/objects/deletion.ts'
import type { AnyResource, CustomResourceDefinition, CustomResourceDefinitionStatus } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { CLEANUP_FINALIZER } from '../../kinds/custom-resource-definition.ts'
import type { Change } from '../../informer/contract.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { watchAnyKind, watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { planDefinition, terminating } from './plan.ts'

/** Deletions under way at once. */
const BATCH = 200

export class DefinitionReconciler implements Reconciler {
  readonly name = 'definition'
  /** Names that one definition is given must be seen when another asks for them. */
  readonly concurrency = 1
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.watches = [
      watchSource('CustomResourceDefinition', (change) => this.#keys(change)),
      watchAnyKind((change) => this.#definitionOf(change)),
    ]
  }

  async reconcile(key: string): Promise<undefined> {
    const { informer, caughtUp } = this.#parts
    const { name } = splitKey(key)
    await caughtUp()
    const definition = informer.lister('CustomResourceDefinition').get('', name)
    if (definition === undefined) return
    if (isDeleting(definition)) return this.#cleanUp(definition)
    const others = informer
      .lister('CustomResourceDefinition')
      .list()
      .filter(({ metadata: { uid } }) => uid !== definition.metadata.uid)
    await this.#writeStatus(definition, planDefinition(definition, others, this.#parts.clock.now()))
  }

  /** Itself; once its names are others' to have, whoever of its group waits for names. */
  #keys({ type, cached: { object }, previous }: Change<'CustomResourceDefinition'>): string[] {
    const freed =
      type === 'deleted' ||
      (previous !== undefined && !sameJson(previous.object.status.acceptedNames, object.status.acceptedNames))
    const waiting = freed
      ? this.#parts.informer
          .lister('CustomResourceDefinition')
          .list()
          .filter(
            ({ spec, status }) =>
              spec.group === object.spec.group &&
              status.conditions?.some(
                ({ type: said, status: holds }) => said === 'NamesAccepted' && holds === 'False',
              ) === true,
          )
      : []
    return [...(type === 'deleted' ? [] : [object]), ...waiting].map(keyOf)
  }

  /** The definition that waits for an object to be gone. */
  #definitionOf({ type, cached: { object } }: Change): string[] {
    const kind = type === 'deleted' ? customKinds.get(object.kind) : undefined
    return kind?.terminating === true ? [makeKey('', `${kind.resource.plural}.${kind.resource.group}`)] : []
  }

  async #cleanUp(definition: CustomResourceDefinition): Promise<undefined> {
    if (!hasFinalizer(definition, CLEANUP_FINALIZER)) return
    const objects = this.#objectsOf(definition)
    let failure: unknown
    const going = objects.filter(({ metadata: { deletionTimestamp } }) => deletionTimestamp === undefined)
    for (let at = 0; at < going.length; at += BATCH) {
      const results = await Promise.allSettled(
        going
          .slice(at, at + BATCH)
          .map(({ kind, metadata: { namespace, name, uid } }) =>
            this.#parts.api.delete(kind, namespace, name, { uid, propagation: 'BACKGROUND' }, this.#context),
          ),
      )
      for (const result of results)
        if (result.status === 'rejected' && !GantryError.is(result.reason, 'NotFound')) failure ??= result.reason
    }
    await this.#parts.caughtUp()
    const left = this.#objectsOf(definition).length
    await this.#writeStatus(
      definition,
      terminating(
        definition.status,
        left,
        failure === undefined ? undefined : GantryError.from(failure).message,
        this.#parts.clock.now(),
      ),
    )
    if (failure !== undefined) throw GantryError.from(failure)
    if (left === 0) await this.#release(definition)
  }

  #objectsOf({ metadata: { uid } }: CustomResourceDefinition): AnyResource[] {
    const kind = this.#parts.informer.kinds.custom().find((candidate) => candidate.uid === uid)
    return kind === undefined ? [] : this.#parts.informer.lister(kind.id).list()
  }

  async #writeStatus(
    { metadata: { name, uid }, status: before }: CustomResourceDefinition,
    status: CustomResourceDefinitionStatus,
  ): Promise<void> {
    if (sameJson(status, before)) return
    await this.#parts.api.mutate(
      'CustomResourceDefinition',
      '',
      name,
      'status',
      (stored) => {
        if (stored.metadata.uid !== uid) return false
        stored.status = status
        return undefined
      },
      this.#context,
    )
  }

  async #release({ metadata: { name, uid } }: CustomResourceDefinition): Promise<void> {
    await this.#parts.api.mutate(
      'CustomResourceDefinition',
      '',
      name,
      '',
      (stored) => {
        if (stored.metadata.uid !== uid || !hasFinalizer(stored, CLEANUP_FINALIZER)) return false
        stored.metadata.finalizers = withoutFinalizer(stored, CLEANUP_FINALIZER)
        return undefined
      },
      this.#context,
    )
  }
}
