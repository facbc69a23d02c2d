/** The API core: see contract.ts. */
import { GantryError } from '../../proto/base/errors.ts'
import { updateObjectOwners } from '../../proto/merge/object-ownership.ts'
import { claimedOwners } from '../../proto/merge/ownership.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import { copyObject } from '../../proto/codec/copy.ts'
import type { Clock } from '../../proto/base/clock.ts'
import { then } from '../../proto/base/maybe-promise.ts'
import { randomSuffix, randomUuid, type Random } from '../../proto/base/random.ts'
import type {
  AnyResource,
  JsonObject,
  JsonValue,
  Kind,
  ManagedFieldsEntry,
  Pod,
  Resources,
} from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'
import { createKinds, type Kinds } from '../kinds/kinds.ts'
import type { Author, Strategy } from '../kinds/strategy.ts'
import type { GroupCommit } from '../store/group-commit.ts'
import { fillZeroValues, prepareForCreate } from './admission.ts'
import type { ConsistentReads } from './consistent-reads.ts'
import type {
  AdmissionPlugin,
  DeleteOptions,
  Draft,
  ObjectApi,
  ObjectSubresource,
  PatchOptions,
  WriteContext,
  WriteSubresource,
} from './contract.ts'
import { requestDeletion, settleDeletion, type DeletionOutcome } from './deletion.ts'
import { named } from '../objects/identity.ts'
import { requireNamespace } from './namespace-check.ts'
import { AppliedConfiguration, patched } from './patches.ts'
import { differsOnlyInManagedFieldTimes, ObjectAdmission, withOwners, type UpdateMode } from './object-admission.ts'
import { AdmissionResultCache, AdmissionPlugins } from './plugins.ts'
import { PodWrites } from './pod-writes.ts'
import { contended, ObjectWriter } from './object-writer.ts'
import type { ParticipantTable } from './participant.ts'

/** Tries of a generated name. */
const NAME_ATTEMPTS = 10
/** Kubernetes' limit for generateName, so that the suffix fits. */
const GENERATED_BASE = 58

export interface ObjectRegistryOptions {
  readonly reads: ConsistentReads
  readonly informer: Informer
  readonly commits: Pick<GroupCommit, 'writeAll'>
  readonly clock: Clock
  readonly random: Random
  /** Who takes part in the transactions of kinds whose strategies name participants. */
  readonly participants: ParticipantTable
  /** What is special about each kind. */
  readonly kinds?: Kinds
  /** Asked in this order; some write objects themselves. */
  readonly plugins?: (api: ObjectApi) => readonly AdmissionPlugin[]
}

export class ObjectRegistry implements ObjectApi {
  readonly #reads: ConsistentReads
  readonly #informer: Informer
  readonly #clock: Clock
  readonly #random: Random
  readonly #kinds: Kinds
  readonly #writer: ObjectWriter
  readonly #admission: ObjectAdmission
  readonly #pods: PodWrites

  constructor(options: ObjectRegistryOptions) {
    this.#reads = options.reads
    this.#informer = options.informer
    this.#clock = options.clock
    this.#random = options.random
    this.#kinds = options.kinds ?? createKinds()
    this.#writer = new ObjectWriter({ ...options, kinds: this.#kinds })
    this.#admission = new ObjectAdmission(
      new AdmissionPlugins(options.plugins?.(this) ?? []),
      this.#kinds,
      options.clock,
    )
    this.#pods = new PodWrites({
      change: (...write) => this.#writer.change(...write),
      settle: (pod) => this.#settleDeletion(pod),
      admission: this.#admission,
      clock: options.clock,
    })
  }

  async get<K extends Kind>(kind: K, namespace: string, name: string): Promise<Resources[K]> {
    return (await this.#reads.get(kind, namespace, name)).object
  }

  async create<K extends Kind>(draft: Draft<K>, context: WriteContext): Promise<Resources[K]> {
    const wanted = fillZeroValues(draft)
    wanted.metadata.managedFields = undefined
    return this.#create(wanted, context, (object) => this.#owned(undefined, object, context))
  }

  async update<K extends Kind>(
    object: Resources[K],
    context: WriteContext,
    part?: ObjectSubresource,
  ): Promise<Resources[K]> {
    const { namespace, name } = object.metadata
    return (
      await this.#writer.change(object.kind as K, namespace, name, context, (stored, memory) =>
        this.#updated(
          fillZeroValues(object),
          stored,
          { author: this.#authorOf(object.kind, part), subresource: part ?? '' },
          context,
          memory,
        ),
      )
    ).object
  }

  async updateStatus<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K]> {
    const { namespace, name } = object.metadata
    const wanted = fillZeroValues(object)
    return (
      await this.#writer.change(object.kind as K, namespace, name, context, (stored, memory) =>
        this.#statusUpdated(wanted, stored, {}, context, memory),
      )
    ).object
  }

  async patch<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    { subresource = '', ...patch }: PatchOptions,
    context: WriteContext,
  ): Promise<Resources[K]> {
    const { object } = await this.#writer.change(kind, namespace, name, context, (stored, memory) => {
      const wanted = patched(stored, patch, context)
      return subresource === 'status'
        ? this.#statusUpdated(wanted, stored, { patch: true }, context, memory)
        : this.#updated(wanted, stored, { author: 'user', subresource, patch: true }, context, memory)
    })
    return object
  }

  async apply<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    configuration: JsonValue,
    force: boolean,
    context: WriteContext,
    subresource: WriteSubresource = '',
  ): Promise<{ object: Resources[K]; outcome: 'UNCHANGED' | 'CREATED' | 'CONFIGURED' }> {
    const application = new AppliedConfiguration(kind, namespace, name, configuration, {
      force,
      subresource,
      strategy: this.#strategy<Kind>(kind),
      context,
      now: () => this.#clock.now(),
    })
    for (let attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
      try {
        const { object, changed } = await this.#writer.change(kind, namespace, name, context, (stored, memory) => {
          const merged = application.mergedInto(stored)
          if (merged === stored) return stored
          const mode = { author: 'user', patch: true, force } as const
          const owners = (): ManagedFieldsEntry[] | undefined => merged.metadata.managedFields
          const written =
            subresource === 'status'
              ? this.#admission.status(merged, stored, mode, context, memory, owners)
              : this.#admission.update(merged, stored, { ...mode, subresource }, context, memory, owners)
          return then(written, (next) =>
            this.#settleDeletion(differsOnlyInManagedFieldTimes(next, stored) ? stored : next),
          )
        })
        return { object, outcome: changed ? 'CONFIGURED' : 'UNCHANGED' }
      } catch (thrown) {
        if (!GantryError.is(thrown, 'NotFound') || subresource !== '') throw thrown
      }
      try {
        return {
          object: await this.#create(application.create(), context, (object) => object.metadata.managedFields ?? []),
          outcome: 'CREATED',
        }
      } catch (thrown) {
        // Made by another since: then it is to be changed.
        if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
      }
    }
    throw contended(kind, namespace, name)
  }

  async delete<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    options: DeleteOptions,
    context: WriteContext,
  ): Promise<Resources[K]> {
    return (await this.deletion(kind, namespace, name, options, context)).object
  }

  async deletion<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    options: DeleteOptions,
    context: WriteContext,
  ): Promise<{ object: Resources[K]; removed: boolean }> {
    const { object, removed } = await this.#writer.change(kind, namespace, name, context, (stored, memory) => {
      const next = requestDeletion(stored, this.#strategy(kind), options, this.#clock.now())
      const admitted = this.#admission.deletion(stored, options, context, memory)
      return then(admitted, () => next)
    })
    if (this.#strategy(kind).acknowledgedWhenCached === 'deletion' && context.dryRun !== true)
      await this.#informer.waitForRevision(Number(object.metadata.resourceVersion))
    return { object, removed }
  }

  async mutate<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    subresource: '' | 'status',
    change: (object: Resources[K]) => false | void,
    context: WriteContext,
  ): Promise<Resources[K]> {
    const { object } = await this.#writer.change(kind, namespace, name, context, (stored, memory) => {
      const wanted = copyObject(stored)
      if (change(wanted) === false) return stored
      return subresource === 'status'
        ? this.#statusUpdated(wanted, stored, {}, context, memory)
        : this.#updated(wanted, stored, { author: 'controller', subresource }, context, memory)
    })
    return object
  }

  bind(namespace: string, name: string, uid: string, node: string, context: WriteContext): Promise<Pod> {
    return this.#pods.bind(namespace, name, uid, node, context)
  }

  release(namespace: string, name: string, uid: string, context: WriteContext): Promise<Pod> {
    return this.#pods.release(namespace, name, uid, context)
  }

  admitConnection(
    kind: Kind,
    namespace: string,
    name: string,
    subresource: string,
    options: JsonObject,
    context: WriteContext,
  ): Promise<void> {
    return this.#admission.connection(kind, namespace, name, subresource, options, context)
  }

  /** Creates what `wanted` says, and changes it; `owners` says who owns the fields of the object that becomes of it. */
  async #create<K extends Kind>(
    wanted: Resources[K],
    context: WriteContext,
    owners: (object: Resources[K]) => ManagedFieldsEntry[],
  ): Promise<Resources[K]> {
    const { name, generateName = '', namespace } = wanted.metadata
    if (name === '' && generateName === '')
      throw new GantryError('InvalidArgument', `a ${wanted.kind} needs a name`, {
        details: [
          {
            field: 'metadata.name',
            message: 'name or generateName is required',
            remedy: 'set metadata.name or metadata.generateName',
            reason: 'FieldValueRequired',
          },
        ],
      })
    for (let attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
      wanted.metadata.name =
        name === '' ? `${generateName.slice(0, GENERATED_BASE)}${randomSuffix(this.#random)}` : name
      const object = prepareForCreate(
        name === '' ? copyObject(wanted) : wanted, // where the server makes the name it may have to make another
        this.#strategy(wanted.kind as K),
        randomUuid(this.#random),
        this.#clock.now(),
      )
      if (resourceOf(object.kind).namespaced)
        await requireNamespace({ informer: this.#informer, reads: this.#reads }, namespace)
      // What admission adds, such as a pod's token, is nobody's: whoever leaves it out of what he applies later does
      // not take it away.
      const managedFields = owners(object)
      object.metadata.managedFields = managedFields
      const admitted = this.#admission.creation(object, context, name === '')
      if (admitted instanceof Promise) await admitted
      object.metadata.managedFields = managedFields
      const made =
        context.dryRun === true
          ? await this.#writer.tryNew(object, context)
          : await this.#writer.putNew(object, context)
      if (made !== undefined) return made
      if (name !== '') break
    }
    const taken = named(wanted.kind, namespace, wanted.metadata.name)
    throw new GantryError('AlreadyExists', `${taken} already exists`, {
      details: [
        {
          field: 'metadata.name',
          value: wanted.metadata.name,
          message: 'is taken',
          remedy: 'choose another name, or apply to change what is there',
        },
      ],
    })
  }

  #strategy<K extends Kind>(kind: K): Strategy<K> {
    return this.#kinds.of(kind)
  }

  #authorOf(kind: Kind, part: ObjectSubresource | undefined): Author {
    return (part === undefined ? undefined : this.#strategy(kind).subresources?.[part]?.author) ?? 'user'
  }

  #settleDeletion<K extends Kind>(next: Resources[K]): DeletionOutcome<K> {
    return settleDeletion(next, this.#strategy(next.kind as K))
  }

  #updated<K extends Kind>(
    wanted: Resources[K],
    stored: Resources[K],
    mode: UpdateMode & { readonly subresource: Exclude<WriteSubresource, 'status'> },
    context: WriteContext,
    memory: AdmissionResultCache,
  ): DeletionOutcome<K> | Promise<DeletionOutcome<K>> {
    const owners = (next: Resources[K]): ManagedFieldsEntry[] => {
      const claimed = claimedOwners(next.metadata.managedFields, stored.metadata.managedFields)
      return this.#owned(
        claimed === stored.metadata.managedFields ? stored : withOwners(stored, claimed),
        next,
        context,
        mode.subresource,
      )
    }
    return then(this.#admission.update(wanted, stored, mode, context, memory, owners), (next) =>
      this.#settleDeletion(next),
    )
  }

  /**
   * Whose the fields of a status are is kept for what users write; a part of the control plane takes them over where
   * that is so.
   */
  #statusUpdated<K extends Kind>(
    wanted: Resources[K],
    stored: Resources[K],
    mode: Pick<UpdateMode, 'patch'>,
    context: WriteContext,
    memory: AdmissionResultCache,
  ): DeletionOutcome<K> | Promise<DeletionOutcome<K>> {
    const isKept =
      context.user !== undefined ||
      stored.metadata.managedFields?.some(({ subresource }) => subresource === 'status') === true
    const owners = (next: Resources[K]): ManagedFieldsEntry[] | undefined =>
      isKept ? this.#owned(stored, next, context, 'status') : stored.metadata.managedFields
    return then(this.#admission.status(wanted, stored, mode, context, memory, owners), (next) =>
      this.#settleDeletion(next),
    )
  }

  #owned(
    previous: AnyResource | undefined,
    next: AnyResource,
    context: WriteContext,
    subresource: WriteSubresource = '',
  ): ManagedFieldsEntry[] {
    return updateObjectOwners({ previous, next, manager: context.fieldManager, now: this.#clock.now(), subresource })
  }
}
