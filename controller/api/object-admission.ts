/**
 * How what is written comes to be admitted: its draft, the turn of the plugins that look at it, its validation. At once
 * where no plugin does, so that writes of one turn stay together.
 */
import { encodeJson } from '../../proto/codec/codec.ts'
import { sameJson } from '../../proto/base/json.ts'
import { copyObject } from '../../proto/codec/copy.ts'
import type { Clock } from '../../proto/base/clock.ts'
import { then } from '../../proto/base/maybe-promise.ts'
import type { AnyResource, JsonObject, JsonValue, Kind, ManagedFieldsEntry, Resources } from '../../proto/gen/types.ts'
import type { Kinds } from '../kinds/kinds.ts'
import { evictionMessage } from '../kinds/pod-messages.ts'
import type { Author } from '../kinds/strategy.ts'
import { admitStatus, finalizeCreate, finalizeUpdate, prepareForUpdate } from './admission.ts'
import type {
  AdmissionAttributes,
  AdmissionRequestInfo,
  DeleteOptions,
  WriteContext,
  WriteSubresource,
} from './contract.ts'
import { runAdmission, replaceContent, type AdmissionResultCache, type AdmissionPlugins } from './plugins.ts'
import { mergeSubresource } from './subresources.ts'

const PROPAGATION = { BACKGROUND: 'Background', FOREGROUND: 'Foreground', ORPHAN: 'Orphan' } as const

/** How an object is changed: replaced, or by a patch. */
export interface UpdateMode {
  readonly author: Author
  readonly subresource: WriteSubresource
  readonly patch?: boolean
  readonly force?: boolean
}

type Owners<K extends Kind> = (draft: Resources[K]) => ManagedFieldsEntry[] | undefined

export class ObjectAdmission {
  readonly #plugins: AdmissionPlugins
  readonly #kinds: Kinds
  readonly #clock: Clock

  constructor(plugins: AdmissionPlugins, kinds: Kinds, clock: Clock) {
    this.#plugins = plugins
    this.#kinds = kinds
    this.#clock = clock
  }

  /** Completes the draft of a new object, in place. `generated`: the server made its name. */
  creation(object: AnyResource, context: WriteContext, generated: boolean): void | Promise<void> {
    const {
      kind,
      metadata: { namespace, name },
    } = object
    const occasion: AdmissionRequestInfo = { operation: 'CREATE', kind, namespace, subresource: '', context }
    const plugins = this.#plugins.of(occasion)
    const strategy = this.#kinds.of(kind)
    if (plugins.length > 0) {
      const options = optionsOf('CreateOptions', context)
      const attributes = { ...occasion, name: generated ? '' : name, object, oldObject: undefined, options }
      const admitted = runAdmission(plugins, attributes, () => finalizeCreate(object, strategy))
      return then(admitted, () => this.#warn(object, context))
    }
    finalizeCreate(object, strategy)
    this.#warn(object, context)
  }

  /**
   * The stored object as it is to become, without its status. `wanted` is the caller's own, and is changed. `owners`
   * says whose its fields are, before plugins change some.
   */
  update<K extends Kind>(
    wanted: Resources[K],
    stored: Resources[K],
    mode: UpdateMode,
    context: WriteContext,
    memory: AdmissionResultCache,
    owners: Owners<K>,
  ): Resources[K] | Promise<Resources[K]> {
    const { author, subresource } = mode
    const strategy = this.#kinds.of(stored.kind as K)
    const merged = mergeSubresource(this.#kinds, wanted, stored, subresource)
    // What another subresource writes is the stored object's.
    const draft = merged === wanted ? wanted : copyObject(merged)
    const object = prepareForUpdate(draft, stored, strategy, { author, now: this.#clock.now() })
    const seenAs = author === 'controller' ? (strategy.controllerSubresource ?? subresource) : subresource
    const occasion = updateOf(stored, seenAs, context)
    const plugins = this.#plugins.of(occasion)
    if (plugins.length === 0) {
      const settled = finalizeUpdate(object, stored, strategy, subresource)
      this.#warn(settled, context, stored)
      return withOwners(settled, owners(object))
    }
    const managedFields = owners(object)
    object.metadata.managedFields = managedFields
    const settle = (): void => {
      if (subresource !== '' && subresource !== 'scale')
        replaceContent(object, mergeSubresource(this.#kinds, object, stored, subresource) as AnyResource)
      finalizeUpdate(object, stored, strategy, subresource)
    }
    return then(runAdmission(plugins, attributesOf(occasion, object, stored, mode), settle, memory), () => {
      this.#warn(object, context, stored)
      return withOwners(object, managedFields)
    })
  }

  /** The stored object with another's status. `owners` as for `update`. */
  status<K extends Kind>(
    wanted: Resources[K],
    stored: Resources[K],
    mode: Pick<UpdateMode, 'patch' | 'force'>,
    context: WriteContext,
    memory: AdmissionResultCache,
    owners: Owners<K>,
  ): Resources[K] | Promise<Resources[K]> {
    const strategy = this.#kinds.of(stored.kind as K)
    const admitted = admitStatus(wanted, stored, strategy)
    const next = withOwners(admitted, owners(admitted))
    // What is observed is written all the time.
    if (context.user === undefined) return next
    const occasion = updateOf(stored, 'status', context)
    const plugins = this.#plugins.of(occasion)
    if (plugins.length === 0) return next
    const object = copyObject(next)
    let settled = next
    const settle = (): void => void (settled = admitStatus(object, stored, strategy))
    return then(runAdmission(plugins, attributesOf(occasion, object, stored, mode), settle, memory), () =>
      withOwners(settled, next.metadata.managedFields),
    )
  }

  deletion(
    stored: AnyResource,
    options: DeleteOptions,
    context: WriteContext,
    memory: AdmissionResultCache,
  ): void | Promise<void> {
    const {
      kind,
      metadata: { namespace, name },
    } = stored
    const occasion: AdmissionRequestInfo =
      options.eviction === true
        ? { operation: 'CREATE', kind, namespace, subresource: 'eviction', context }
        : { operation: 'DELETE', kind, namespace, subresource: '', context }
    const plugins = this.#plugins.of(occasion)
    if (plugins.length === 0) return
    const how = deleteOptionsOf(options, context)
    const attributes: AdmissionAttributes =
      options.eviction === true
        ? {
            ...occasion,
            name,
            object: undefined,
            oldObject: undefined,
            message: evictionMessage(stored, how),
            options: optionsOf('CreateOptions', context),
          }
        : { ...occasion, name, object: undefined, oldObject: stored, options: how }
    return runAdmission(plugins, attributes, () => undefined, memory)
  }

  /** A message that is posted to a subresource of a stored object. */
  post(
    { kind, metadata: { namespace, name } }: AnyResource,
    subresource: string,
    message: JsonObject,
    context: WriteContext,
    memory: AdmissionResultCache,
  ): void | Promise<void> {
    // The control plane's own, such as the scheduler's bindings, are not asked about.
    if (context.user === undefined) return
    const occasion: AdmissionRequestInfo = { operation: 'CREATE', kind, namespace, subresource, context }
    const plugins = this.#plugins.of(occasion)
    if (plugins.length === 0) return
    const options = optionsOf('CreateOptions', context)
    const attributes = { ...occasion, name, object: undefined, oldObject: undefined, message, options }
    return runAdmission(plugins, attributes, () => undefined, memory)
  }

  /** A connection to a subresource; `message`: its options. */
  async connection(
    kind: Kind,
    namespace: string,
    name: string,
    subresource: string,
    message: JsonObject,
    context: WriteContext,
  ): Promise<void> {
    const occasion: AdmissionRequestInfo = { operation: 'CONNECT', kind, namespace, subresource, context }
    const plugins = this.#plugins.of(occasion)
    if (plugins.length > 0)
      await runAdmission(
        plugins,
        { ...occasion, name, object: undefined, oldObject: undefined, message },
        () => undefined,
      )
  }

  /** Tells who writes what is accepted and probably not meant; of an update, if it changes what is asked for. */
  #warn(object: AnyResource, { warn: tell }: WriteContext, stored?: AnyResource): void {
    if (tell === undefined || (stored !== undefined && object.metadata.generation === stored.metadata.generation))
      return
    for (const text of this.#kinds.of(object.kind).warnings?.(object) ?? []) tell(text)
  }
}

export function withOwners<K extends Kind>(
  object: Resources[K],
  managedFields: ManagedFieldsEntry[] | undefined,
): Resources[K] {
  return { ...object, metadata: { ...object.metadata, managedFields } }
}

function updateOf(
  { kind, metadata: { namespace } }: AnyResource,
  subresource: string,
  context: WriteContext,
): AdmissionRequestInfo {
  return { operation: 'UPDATE', kind, namespace, subresource, context }
}

function attributesOf(
  occasion: AdmissionRequestInfo,
  object: AnyResource,
  oldObject: AnyResource,
  { patch, force }: Pick<UpdateMode, 'patch' | 'force'>,
): AdmissionAttributes {
  return {
    ...occasion,
    name: oldObject.metadata.name,
    object,
    oldObject,
    options: {
      ...optionsOf(patch === true ? 'PatchOptions' : 'UpdateOptions', occasion.context),
      ...(force === true && { force }),
    },
  }
}

function optionsOf(kind: string, { fieldManager, fieldValidation, dryRun }: WriteContext): JsonObject {
  return {
    kind,
    apiVersion: 'meta.k8s.io/v1',
    ...(dryRun === true && { dryRun: ['All'] }),
    fieldManager,
    ...(fieldValidation !== undefined && { fieldValidation }),
  }
}

function deleteOptionsOf(
  { propagation, uid, resourceVersion, gracePeriodSeconds }: DeleteOptions,
  { dryRun }: WriteContext,
): JsonObject {
  const preconditions = { ...(uid !== undefined && { uid }), ...(resourceVersion !== undefined && { resourceVersion }) }
  return {
    kind: 'DeleteOptions',
    apiVersion: 'meta.k8s.io/v1',
    ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
    ...(Object.keys(preconditions).length > 0 && { preconditions }),
    ...(propagation !== undefined && { propagationPolicy: PROPAGATION[propagation] }),
    ...(dryRun === true && { dryRun: ['All'] }),
  }
}

/**
 * True if an application changed nothing but the times of owners: a configuration that leaves out what is defaulted
 * within an atomic list differs from the stored object until the defaults are set.
 */
export function differsOnlyInManagedFieldTimes<K extends Kind>(object: Resources[K], stored: Resources[K]): boolean {
  const [owners, before] = [object.metadata.managedFields ?? [], stored.metadata.managedFields ?? []]
  const timeless = ({ time: _, ...entry }: ManagedFieldsEntry): JsonValue => entry as unknown as JsonValue
  if (!sameJson(owners.map(timeless), before.map(timeless))) return false
  return sameJson(encodeJson(withOwners(object, before) as AnyResource), encodeJson(stored as AnyResource))
}
