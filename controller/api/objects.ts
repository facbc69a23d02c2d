/** The API core: see contract.ts. */
import { decodeJson, encodeJson } from '../../proto/api/codec.ts'
import { applyDefaults } from '../../proto/api/defaults.ts'
import { GantryError } from '../../proto/api/errors.ts'
import { applyConfiguration, updateOwnership } from '../../proto/api/ownership.ts'
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from '../../proto/api/patch.ts'
import { describeObject, resourceOf } from '../../proto/api/schema.ts'
import { decodeResource, encodeResource } from '../../proto/api/wire.ts'
import type { Clock } from '../../proto/base/clock.ts'
import { randomSuffix, randomUuid, type Random } from '../../proto/base/random.ts'
import type { AnyResource, JsonObject, JsonValue, Kind, ManagedFieldsEntry, Pod, Resources } from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'
import type { Entry, Operation } from '../store/contract.ts'
import type { GroupCommit } from '../store/group-commit.ts'
import { objectKey } from '../store/keys.ts'
import { admitNew, admitStatus, admitUpdate, checkSize, complete, type Author } from './admission.ts'
import { bindPod } from './binding.ts'
import { notFound, type ConsistentReads } from './consistent-reads.ts'
import type { DeleteOptions, Draft, ObjectApi, PatchOptions, WriteContext } from './contract.ts'
import { releasePod, requestDeletion, settleDeletion, type Step } from './deletion.ts'
import { named } from './identity.ts'

/** Tries of one write that meets others: after so many in a row somebody is in a loop. */
const ATTEMPTS = 10
/** Kubernetes' limit for generateName, so that the suffix fits. */
const GENERATED_BASE = 58

/** An object that a write begins with. `fresh`: it is certain that it was the newest when the write began, not merely what the cache shows. */
interface Base<K extends Kind> {
  readonly object: Resources[K]
  readonly revision: number
  readonly bytes: Uint8Array
  readonly fresh: boolean
}

export interface ObjectCoreOptions {
  readonly reads: ConsistentReads
  readonly informer: Informer
  readonly commits: Pick<GroupCommit, 'write'>
  readonly clock: Clock
  readonly random: Random
}

export class ObjectCore implements ObjectApi {
  readonly #reads: ConsistentReads
  readonly #informer: Informer
  readonly #commits: Pick<GroupCommit, 'write'>
  readonly #clock: Clock
  readonly #random: Random

  constructor(options: ObjectCoreOptions) {
    this.#reads = options.reads
    this.#informer = options.informer
    this.#commits = options.commits
    this.#clock = options.clock
    this.#random = options.random
  }

  async get<K extends Kind>(kind: K, namespace: string, name: string): Promise<Resources[K]> {
    return (await this.#reads.get(kind, namespace, name)).object
  }

  async create<K extends Kind>(draft: Draft<K>, context: WriteContext): Promise<Resources[K]> {
    const wanted = complete(draft)
    wanted.metadata.managedFields = undefined
    return this.#create(wanted, context, (object) => this.#owned(undefined, object, context))
  }

  async update<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K]> {
    const { namespace, name } = object.metadata
    const wanted = complete(object)
    return (await this.#change(object.kind as K, namespace, name, context, (stored) => this.#updated(wanted, stored, 'user', context))).object
  }

  async updateStatus<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K]> {
    const { namespace, name } = object.metadata
    const wanted = complete(object)
    return (await this.#change(object.kind as K, namespace, name, context, (stored) => admitStatus(wanted, stored))).object
  }

  async patch<K extends Kind>(kind: K, namespace: string, name: string, options: PatchOptions, context: WriteContext): Promise<Resources[K]> {
    const { object } = await this.#change(kind, namespace, name, context, (stored) => {
      const wanted = decodeJson(kind, patched(kind, encodeJson(stored), options))
      if (wanted.metadata.name !== name || wanted.metadata.namespace !== namespace) {
        throw new GantryError('InvalidArgument', `a patch cannot rename ${describeObject(stored)}`, { details: [{ field: 'metadata.name', value: wanted.metadata.name, message: 'is part of the patch' }] })
      }
      return options.subresource === 'status' ? admitStatus(wanted, stored) : this.#updated(wanted, stored, 'user', context)
    })
    return object
  }

  async apply<K extends Kind>(kind: K, namespace: string, name: string, configuration: JsonValue, force: boolean, context: WriteContext): Promise<{ object: Resources[K]; outcome: 'UNCHANGED' | 'CREATED' | 'CONFIGURED' }> {
    const wanted = configured(kind, namespace, name, configuration)
    const merge = (live: Resources[K] | undefined): { object: JsonObject; changed: boolean } =>
      applyConfiguration({ kind, live: live === undefined ? undefined : encodeJson(live), configuration: wanted, manager: context.fieldManager, force, now: this.#clock.now() })
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        const { object, changed } = await this.#change(kind, namespace, name, context, (stored) => {
          const merged = merge(stored)
          return merged.changed ? settleDeletion(admitUpdate(decodeJson(kind, merged.object), stored, 'user', this.#clock.now())) : stored
        })
        return { object, outcome: changed ? 'CONFIGURED' : 'UNCHANGED' }
      } catch (thrown) {
        if (!GantryError.is(thrown, 'NotFound')) throw thrown
      }
      try {
        return { object: await this.#create(decodeJson(kind, merge(undefined).object), context, (object) => object.metadata.managedFields ?? []), outcome: 'CREATED' }
      } catch (thrown) {
        // Made by another since: then it is to be changed.
        if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
      }
    }
    throw contended(kind, namespace, name)
  }

  async delete<K extends Kind>(kind: K, namespace: string, name: string, options: DeleteOptions, context: WriteContext): Promise<Resources[K]> {
    const { object } = await this.#change(kind, namespace, name, context, (stored) => requestDeletion(stored, options, this.#clock.now()))
    // Creations look at the cache for whether a namespace is going: whoever has been told that it is must not get one through any more.
    if (kind === 'Namespace' && context.dryRun !== true) await this.#informer.reached(Number(object.metadata.resourceVersion))
    return object
  }

  async mutate<K extends Kind>(kind: K, namespace: string, name: string, subresource: '' | 'status', change: (object: Resources[K]) => false | void, context: WriteContext): Promise<Resources[K]> {
    const { object } = await this.#change(kind, namespace, name, context, (stored) => {
      const wanted = structuredClone(stored)
      if (change(wanted) === false) return stored
      return subresource === 'status' ? admitStatus(wanted, stored) : this.#updated(wanted, stored, 'controller', context)
    })
    return object
  }

  async bind(namespace: string, name: string, uid: string, node: string, context: WriteContext): Promise<Pod> {
    return (await this.#change('Pod', namespace, name, context, (stored) => bindPod(stored, uid, node, this.#clock.now()))).object
  }

  async release(namespace: string, name: string, uid: string, context: WriteContext): Promise<Pod> {
    return (await this.#change('Pod', namespace, name, context, (stored) => (stored.metadata.uid === uid ? releasePod(stored) : stored))).object
  }

  /** Creates what `wanted` says; `owners` says who owns the fields of the object that becomes of it. */
  async #create<K extends Kind>(wanted: Resources[K], context: WriteContext, owners: (object: Resources[K]) => ManagedFieldsEntry[]): Promise<Resources[K]> {
    const { name, generateName = '', namespace } = wanted.metadata
    if (name === '' && generateName === '') throw new GantryError('InvalidArgument', `a ${wanted.kind} needs a name`, { details: [{ field: 'metadata.name', message: 'is missing', remedy: 'set metadata.name or metadata.generateName' }] })
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      wanted.metadata.name = name === '' ? `${generateName.slice(0, GENERATED_BASE)}${randomSuffix(this.#random)}` : name
      const object = admitNew(wanted, randomUuid(this.#random), this.#clock.now())
      await this.#requireNamespace(object)
      object.metadata.managedFields = owners(object)
      const bytes = encodeResource(object)
      checkSize(object, bytes)
      const key = objectKey(object.kind, namespace, object.metadata.name)
      const revision = context.dryRun === true
        ? await this.#reads.find(object.kind, namespace, object.metadata.name) === undefined ? 0 : undefined
        : await this.#put(key, bytes, context)
      if (revision !== undefined) return decodeResource(object.kind as K, bytes, revision === 0 ? '' : String(revision))
      if (name !== '') break
    }
    const taken = named(wanted.kind, namespace, wanted.metadata.name)
    throw new GantryError('AlreadyExists', `${taken} already exists`, { details: [{ field: 'metadata.name', value: wanted.metadata.name, message: 'is taken', remedy: 'choose another name, or apply to change what is there' }] })
  }

  /** The revision of a new object, undefined if the key is taken. */
  async #put(key: string, value: Uint8Array, context: WriteContext): Promise<number | undefined> {
    const result = await this.#commits.write({ kind: 'put', key, value, expect: { is: 'absent' } }, context.term)
    switch (result.outcome) {
      case 'committed': return result.revision
      case 'conflict': return undefined
      case 'deposed': throw deposed()
    }
  }

  /** NotFound or Forbidden unless the object may be made in its namespace. */
  async #requireNamespace({ kind, metadata: { namespace } }: AnyResource): Promise<void> {
    if (!resourceOf(kind).namespaced) return
    const shown = this.#informer.lister('Namespace').get('', namespace)
    const found = shown !== undefined && shown.metadata.deletionTimestamp === undefined ? shown : (await this.#reads.find('Namespace', '', namespace))?.object
    if (found === undefined) {
      throw new GantryError('NotFound', `namespace ${namespace} not found`, { details: [{ field: 'metadata.namespace', value: namespace, message: 'there is no such namespace', remedy: `gantry create namespace ${namespace}` }] })
    }
    if (found.metadata.deletionTimestamp !== undefined) {
      throw new GantryError('Forbidden', `namespace ${namespace} is being deleted: nothing can be created in it`, { details: [{ field: 'metadata.namespace', value: namespace, message: 'is Terminating', remedy: 'wait until it is gone and create it again, or use another' }] })
    }
  }

  #updated<K extends Kind>(wanted: Resources[K], stored: Resources[K], author: Author, context: WriteContext): Step<K> {
    const next = admitUpdate(wanted, stored, author, this.#clock.now())
    next.metadata.managedFields = this.#owned(stored, next, context)
    return settleDeletion(next)
  }

  #owned(previous: AnyResource | undefined, next: AnyResource, context: WriteContext): ManagedFieldsEntry[] {
    return updateOwnership({ kind: next.kind, previous: previous && encodeJson(previous), next: encodeJson(next), manager: context.fieldManager, now: this.#clock.now() })
  }

  /**
   * Takes a step from the stored object and commits it; from the newest state again if somebody else was faster. A refusal, or that nothing
   * changes, holds only for the newest state: seen on what the cache shows, it is looked at again.
   */
  async #change<K extends Kind>(kind: K, namespace: string, name: string, context: WriteContext, step: (stored: Resources[K]) => Step<K>): Promise<{ object: Resources[K]; changed: boolean }> {
    let base = context.dryRun === true ? await this.#fresh(kind, namespace, name) : this.#shown(kind, namespace, name) ?? await this.#fresh(kind, namespace, name)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      let next: Step<K>
      let bytes: Uint8Array | undefined
      try {
        next = step(base.object)
        if (next !== 'removed' && next !== base.object) checkSize(next, (bytes = encodeResource(next)))
      } catch (thrown) {
        if (base.fresh) throw thrown
        base = await this.#fresh(kind, namespace, name)
        continue
      }
      if (next !== 'removed' && (bytes === undefined || Buffer.compare(bytes, base.bytes) === 0)) {
        const newest = base.fresh ? base : await this.#fresh(kind, namespace, name)
        if (newest.revision === base.revision) return { object: newest.object, changed: false }
        base = newest
        continue
      }
      const after = bytes ?? base.bytes
      if (context.dryRun === true) return { object: decodeResource(kind, after, base.object.metadata.resourceVersion), changed: true }
      const key = objectKey(kind, namespace, name)
      const expect = { is: 'at' as const, revision: base.revision }
      const operation: Operation = next === 'removed' ? { kind: 'delete', key, expect } : { kind: 'put', key, value: bytes!, expect }
      const result = await this.#commits.write(operation, context.term)
      switch (result.outcome) {
        case 'committed': return { object: decodeResource(kind, after, String(result.revision)), changed: true }
        case 'deposed': throw deposed()
        case 'conflict':
          if (result.current === undefined) throw notFound(kind, namespace, name)
          base = baseOf(kind, result.current)
      }
    }
    throw contended(kind, namespace, name)
  }

  /** What the cache shows. */
  #shown<K extends Kind>(kind: K, namespace: string, name: string): Base<K> | undefined {
    const cached = this.#informer.lister(kind).cached(namespace, name)
    return cached === undefined ? undefined : { ...cached, fresh: false }
  }

  async #fresh<K extends Kind>(kind: K, namespace: string, name: string): Promise<Base<K>> {
    return { ...await this.#reads.get(kind, namespace, name), fresh: true }
  }
}

function baseOf<K extends Kind>(kind: K, entry: Entry): Base<K> {
  return { object: decodeResource(kind, entry.value, String(entry.revision)), revision: entry.revision, bytes: entry.value, fresh: true }
}

function patched(kind: Kind, target: JsonObject, { type, patch }: PatchOptions): JsonValue {
  switch (type) {
    case 'MERGE': return applyMergePatch(target, patch)
    case 'JSON': return applyJsonPatch(target, patch)
    case 'STRATEGIC': return applyStrategicPatch(kind, target, patch)
  }
}

/** A configuration as it is merged: strictly decoded, in canonical form, of this object and no other, plain secret text as data. */
function configured<K extends Kind>(kind: K, namespace: string, name: string, configuration: JsonValue): JsonObject {
  const decoded = decodeJson(kind, configuration, { dropReadOnly: true })
  const metadata = decoded.metadata
  for (const [field, said, meant] of [['name', metadata.name, name], ['namespace', metadata.namespace, namespace]] as const) {
    if (said !== '' && said !== meant) throw new GantryError('InvalidArgument', `the configuration is not of ${named(kind, namespace, name)}`, { details: [{ field: `metadata.${field}`, value: said, message: `is not ${JSON.stringify(meant)}` }] })
  }
  const object = { ...decoded, metadata: { ...metadata, namespace, name } } as AnyResource
  if (object.kind === 'Secret' && object.stringData !== undefined) {
    object.data = applyDefaults(structuredClone(object)).data
    delete object.stringData
  }
  return encodeJson(object)
}

function deposed(): GantryError {
  return new GantryError('Forbidden', 'this controller does not lead any more: nothing was written')
}

function contended(kind: Kind, namespace: string, name: string): GantryError {
  return new GantryError('Conflict', `${named(kind, namespace, name)} was changed by others ${ATTEMPTS} times in a row`, { details: [{ remedy: 'try again' }] })
}
