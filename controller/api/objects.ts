/** The API core: see contract.ts. */
import { encodeJson } from '../../proto/codec/codec.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { claimedOwners, updateManagedFields } from '../../proto/merge/ownership.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import { decodeResource, encodeResource } from '../../proto/codec/wire.ts'
import { clone } from '../../proto/base/clone.ts'
import type { Clock } from '../../proto/base/clock.ts'
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
import type { CommitResult, Entry, Operation } from '../store/contract.ts'
import type { GroupCommit } from '../store/group-commit.ts'
import { objectKey } from '../store/keys.ts'
import { checkSize, fillZeroValues, prepareForCreate } from './admission.ts'
import { notFound, type ConsistentReads } from './consistent-reads.ts'
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
import { named } from './identity.ts'
import { requireNamespace } from './namespace-check.ts'
import { AppliedConfiguration, patched } from './patches.ts'
import { differsOnlyInManagedFieldTimes, ObjectAdmission, withOwners, type UpdateMode } from './object-admission.ts'
import { AdmissionResultCache, AdmissionPlugins } from './plugins.ts'
import { PodWrites } from './pod-writes.ts'
import type { ParticipantTable, Preparation, ProposedWrite } from './participant.ts'
import { Participants, type ObjectTransaction } from './transaction.ts'

/** Tries of one write that meets others: after so many in a row somebody is in a loop. */
const ATTEMPTS = 10
/** Kubernetes' limit for generateName, so that the suffix fits. */
const GENERATED_BASE = 58
/** Tries of one write besides, in which what was chosen for the object was another's already. */
const MAX_ALLOCATION_ATTEMPTS = 50

/**
 * An object that a write begins with. `fresh`: it is certain that it was the newest when the write began, not merely
 * what the cache shows.
 */
interface Base<K extends Kind> {
  readonly object: Resources[K]
  readonly revision: number
  readonly bytes: Uint8Array
  readonly fresh: boolean
}

interface PreparedObject<K extends Kind> {
  readonly prepared: Preparation<K>
  readonly bytes: Uint8Array
}

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
  readonly #commits: Pick<GroupCommit, 'writeAll'>
  readonly #clock: Clock
  readonly #random: Random
  readonly #kinds: Kinds
  readonly #participants: Participants
  readonly #admission: ObjectAdmission
  readonly #pods: PodWrites

  constructor(options: ObjectRegistryOptions) {
    this.#reads = options.reads
    this.#informer = options.informer
    this.#commits = options.commits
    this.#clock = options.clock
    this.#random = options.random
    this.#kinds = options.kinds ?? createKinds()
    this.#participants = new Participants(options.participants, this.#kinds)
    this.#admission = new ObjectAdmission(
      new AdmissionPlugins(options.plugins?.(this) ?? []),
      this.#kinds,
      options.clock,
    )
    this.#pods = new PodWrites({
      change: (...write) => this.#change(...write),
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
    const wanted = fillZeroValues(object)
    return (
      await this.#change(object.kind as K, namespace, name, context, (stored, memory) =>
        this.#updated(
          wanted,
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
      await this.#change(object.kind as K, namespace, name, context, (stored, memory) =>
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
    const { object } = await this.#change(kind, namespace, name, context, (stored, memory) => {
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
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        const { object, changed } = await this.#change(kind, namespace, name, context, (stored, memory) => {
          const merged = application.mergedInto(stored)
          if (merged === stored) return stored
          const manner = { author: 'user', patch: true, force } as const
          const owners = (): ManagedFieldsEntry[] | undefined => merged.metadata.managedFields
          const written =
            subresource === 'status'
              ? this.#admission.status(merged, stored, manner, context, memory, owners)
              : this.#admission.update(merged, stored, { ...manner, subresource }, context, memory, owners)
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
    const { object, removed } = await this.#change(kind, namespace, name, context, (stored, memory) => {
      const next = requestDeletion(stored, this.#strategy(kind), options, this.#clock.now())
      const admitted = this.#admission.deletion(stored, options, context, memory)
      return admitted === undefined ? next : admitted.then(() => next)
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
    const { object } = await this.#change(kind, namespace, name, context, (stored, memory) => {
      const wanted = clone(stored)
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

  /** Creates what `wanted` says; `owners` says who owns the fields of the object that becomes of it. */
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
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      wanted.metadata.name =
        name === '' ? `${generateName.slice(0, GENERATED_BASE)}${randomSuffix(this.#random)}` : name
      const object = prepareForCreate(
        wanted,
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
      if (admitted !== undefined) await admitted
      object.metadata.managedFields = managedFields
      const made = context.dryRun === true ? await this.#tryNew(object, context) : await this.#putNew(object, context)
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

  /** The object as it would be stored, undefined if its name is taken. */
  async #tryNew<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K] | undefined> {
    const {
      kind,
      metadata: { namespace, name },
    } = object as AnyResource
    if ((await this.#reads.find(kind, namespace, name)) !== undefined) return undefined
    const transaction = this.#participants.begin(kind as K)
    const { bytes } = await this.#prepareNew(object, transaction, context)
    await transaction.abandon()
    return decodeResource(kind as K, bytes, '')
  }

  /** The new object, undefined if its name is taken. */
  async #putNew<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K] | undefined> {
    const {
      kind,
      metadata: { namespace, name },
    } = object as AnyResource
    const key = objectKey(kind, namespace, name)
    const transaction = this.#participants.begin(kind as K)
    for (let attempt = 0; attempt < MAX_ALLOCATION_ATTEMPTS; attempt++) {
      const preparing = this.#prepareNew(object, transaction, context)
      const { prepared, bytes: value } = preparing instanceof Promise ? await preparing : preparing
      const operation: Operation = { kind: 'put', key, value, expect: { is: 'absent' } }
      const result = await this.#commit(kind, operation, transaction, prepared, context)
      if (result.outcome === 'committed')
        return this.#informer.recordWrite(kind as K, { key, value, revision: result.revision }).object
      if (result.conflicts.some(({ index }) => index === 0)) return undefined
    }
    throw contended(kind, namespace, name)
  }

  #prepareNew<K extends Kind>(
    object: Resources[K],
    transaction: ObjectTransaction<K>,
    context: WriteContext,
  ): PreparedObject<K> | Promise<PreparedObject<K>> {
    const preparing = transaction.prepare({ next: object, previous: undefined, ...manner(context) })
    return then(preparing, (prepared): PreparedObject<K> | Promise<PreparedObject<K>> => {
      const bytes = encodeResource(prepared.object as AnyResource)
      try {
        checkSize(object, bytes)
      } catch (thrown) {
        const abandoned = transaction.abandon()
        if (abandoned === undefined) throw thrown
        return abandoned.then(() => Promise.reject(GantryError.from(thrown)))
      }
      return { prepared, bytes }
    })
  }

  /**
   * Writes an object and what its participants have prepared, and tells them what became of it. Conflicts of theirs
   * alone are worth another try; an error is theirs if what was asked for cannot be had. Forbidden for a leader that is
   * deposed.
   */
  async #commit<K extends Kind>(
    kind: Kind,
    operation: Operation,
    transaction: ObjectTransaction<K>,
    { operations }: Preparation<K>,
    context: WriteContext,
  ): Promise<Exclude<CommitResult, { outcome: 'deposed' }>> {
    let result: CommitResult | undefined
    try {
      result = await this.#commits.writeAll([operation, ...operations], context.term)
    } finally {
      const settled = transaction.settle(result)
      if (settled !== undefined) await settled
    }
    if (result.outcome === 'deposed') throw deposed()
    if (result.outcome === 'committed' && this.#strategy(kind).acknowledgedWhenCached === 'write')
      await this.#informer.waitForRevision(result.revision)
    return result
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
    manner: UpdateMode & { readonly subresource: Exclude<WriteSubresource, 'status'> },
    context: WriteContext,
    memory: AdmissionResultCache,
  ): DeletionOutcome<K> | Promise<DeletionOutcome<K>> {
    const owners = (next: Resources[K]): ManagedFieldsEntry[] => {
      const claimed = claimedOwners(next.metadata.managedFields, stored.metadata.managedFields)
      return this.#owned(
        claimed === stored.metadata.managedFields ? stored : withOwners(stored, claimed),
        next,
        context,
        manner.subresource,
      )
    }
    return then(this.#admission.update(wanted, stored, manner, context, memory, owners), (next) =>
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
    manner: Pick<UpdateMode, 'patch'>,
    context: WriteContext,
    memory: AdmissionResultCache,
  ): DeletionOutcome<K> | Promise<DeletionOutcome<K>> {
    const isKept =
      context.user !== undefined ||
      stored.metadata.managedFields?.some(({ subresource }) => subresource === 'status') === true
    const owners = (next: Resources[K]): ManagedFieldsEntry[] | undefined =>
      isKept ? this.#owned(stored, next, context, 'status') : stored.metadata.managedFields
    return then(this.#admission.status(wanted, stored, manner, context, memory, owners), (next) =>
      this.#settleDeletion(next),
    )
  }

  #owned(
    previous: AnyResource | undefined,
    next: AnyResource,
    context: WriteContext,
    subresource: WriteSubresource = '',
  ): ManagedFieldsEntry[] {
    return updateManagedFields({
      kind: next.kind,
      previous: previous && encodeJson(previous),
      next: encodeJson(next),
      manager: context.fieldManager,
      now: this.#clock.now(),
      subresource,
    })
  }

  /**
   * Takes a step from the stored object and commits it; from the newest state again if somebody else was faster. A
   * refusal, or that nothing changes, holds only for the newest state: seen on what the cache shows, it is looked at
   * again.
   */
  async #change<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    context: WriteContext,
    step: (stored: Resources[K], memory: AdmissionResultCache) => DeletionOutcome<K> | Promise<DeletionOutcome<K>>,
  ): Promise<{ object: Resources[K]; changed: boolean; removed: boolean }> {
    let base =
      context.dryRun === true
        ? await this.#fresh(kind, namespace, name)
        : (this.#shown(kind, namespace, name) ?? (await this.#fresh(kind, namespace, name)))
    const memory = new AdmissionResultCache()
    const transaction = this.#participants.begin(kind)
    let allocations = 0
    for (let attempt = 0; attempt < ATTEMPTS + Math.min(allocations, MAX_ALLOCATION_ATTEMPTS); attempt++) {
      let next: DeletionOutcome<K>
      let prepared: Preparation<K> | undefined
      let bytes: Uint8Array | undefined
      try {
        const stepped = step(base.object, memory)
        next = stepped instanceof Promise ? await stepped : stepped
        if (next !== base.object) {
          const proposed = next === 'removed' ? undefined : next
          const preparing = transaction.prepare({ next: proposed, previous: base.object, ...manner(context) })
          prepared = preparing instanceof Promise ? await preparing : preparing
        }
        if (next !== 'removed' && prepared !== undefined)
          checkSize(next, (bytes = encodeResource(prepared.object as AnyResource)))
      } catch (thrown) {
        if (prepared !== undefined) await transaction.abandon()
        if (base.fresh) throw thrown
        base = await this.#fresh(kind, namespace, name)
        continue
      }
      if (prepared === undefined || (next !== 'removed' && isUnchanged(bytes!, prepared, base))) {
        if (prepared !== undefined) await transaction.abandon()
        const newest = base.fresh ? base : await this.#fresh(kind, namespace, name)
        if (newest.revision === base.revision) return { object: newest.object, changed: false, removed: false }
        base = newest
        continue
      }
      const after = bytes ?? base.bytes
      if (context.dryRun === true) {
        await transaction.abandon()
        return {
          object: decodeResource(kind, after, base.object.metadata.resourceVersion),
          changed: true,
          removed: next === 'removed',
        }
      }
      const key = objectKey(kind, namespace, name)
      const expect = { is: 'at' as const, revision: base.revision }
      const operation: Operation =
        next === 'removed' ? { kind: 'delete', key, expect } : { kind: 'put', key, value: after, expect }
      const result = await this.#commit(kind, operation, transaction, prepared, context)
      if (result.outcome === 'committed') {
        const object =
          next === 'removed'
            ? decodeResource(kind, after, String(result.revision))
            : this.#informer.recordWrite(kind, { key, value: after, revision: result.revision }).object
        return { object, changed: true, removed: next === 'removed' }
      }
      const conflict = result.conflicts.find(({ index }) => index === 0)
      if (conflict === undefined) {
        allocations++
        continue
      }
      if (conflict.current === undefined) throw notFound(kind, namespace, name)
      base = baseOf(kind, conflict.current)
    }
    throw contended(kind, namespace, name)
  }

  /** What the cache shows. */
  #shown<K extends Kind>(kind: K, namespace: string, name: string): Base<K> | undefined {
    const cached = this.#informer.lister(kind).cached(namespace, name)
    return cached === undefined ? undefined : { ...cached, fresh: false }
  }

  async #fresh<K extends Kind>(kind: K, namespace: string, name: string): Promise<Base<K>> {
    return { ...(await this.#reads.get(kind, namespace, name)), fresh: true }
  }
}

function baseOf<K extends Kind>(kind: K, entry: Entry): Base<K> {
  return {
    object: decodeResource(kind, entry.value, String(entry.revision)),
    revision: entry.revision,
    bytes: entry.value,
    fresh: true,
  }
}

/** Nothing of it has to be written. */
function isUnchanged<K extends Kind>(bytes: Uint8Array, { operations }: Preparation<K>, base: Base<K>): boolean {
  return operations.length === 0 && Buffer.compare(bytes, base.bytes) === 0
}

function manner({ user, dryRun = false }: WriteContext): Pick<ProposedWrite, 'author' | 'dryRun'> {
  return { author: user === undefined ? 'control-plane' : 'user', dryRun }
}

/** At once, if that is possible: writes of one turn stay together. */
function then<T, U>(value: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

function deposed(): GantryError {
  return new GantryError('Forbidden', 'this controller does not lead any more: nothing was written')
}

function contended(kind: Kind, namespace: string, name: string): GantryError {
  return new GantryError(
    'Conflict',
    `${named(kind, namespace, name)} was changed by others ${ATTEMPTS} times in a row`,
    { details: [{ remedy: 'try again' }] },
  )
}
