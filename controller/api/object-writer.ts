/**
 * Writes of single objects: an object and what its participants have prepared, in one transaction, from the newest
 * state, however many others write it at the same time. What is to become of the object is said by the caller.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { then } from '../../proto/base/maybe-promise.ts'
import { atResourceVersion, canonicalResource } from '../../proto/codec/canonical.ts'
import { decodeResource, encodeResource } from '../../proto/codec/wire.ts'
import type { AnyResource, Kind, Resources } from '../../proto/gen/types.ts'
import type { ExpectedWrite, Informer } from '../informer/contract.ts'
import type { Kinds } from '../kinds/kinds.ts'
import type { CommitResult, Entry, Operation } from '../store/contract.ts'
import type { GroupCommit } from '../store/group-commit.ts'
import { objectKey } from '../store/keys.ts'
import { checkSize } from './admission.ts'
import { notFound, type ConsistentReads } from './consistent-reads.ts'
import type { WriteContext } from './contract.ts'
import type { DeletionOutcome } from './deletion.ts'
import { named } from '../objects/identity.ts'
import type { ParticipantTable, Preparation, ProposedWrite } from './participant.ts'
import { AdmissionResultCache } from './plugins.ts'
import { Participants, type ObjectTransaction } from './transaction.ts'

/** Tries of one write that meets others: after so many in a row somebody is in a loop. */
const ATTEMPTS = 10
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
  readonly encoded: EncodedObject<K>
}

/** An object as it is to be stored. */
interface EncodedObject<K extends Kind> {
  /** What reading the bytes gives, but for its resourceVersion. */
  readonly object: Resources[K]
  readonly bytes: Uint8Array
}

export interface ObjectWriterParts {
  readonly reads: ConsistentReads
  readonly informer: Informer
  readonly commits: Pick<GroupCommit, 'writeAll'>
  /** Who takes part in the transactions of kinds whose strategies name participants. */
  readonly participants: ParticipantTable
  readonly kinds: Kinds
}

export class ObjectWriter {
  readonly #reads: ConsistentReads
  readonly #informer: Informer
  readonly #commits: Pick<GroupCommit, 'writeAll'>
  readonly #kinds: Kinds
  readonly #participants: Participants

  constructor({ reads, informer, commits, participants, kinds }: ObjectWriterParts) {
    this.#reads = reads
    this.#informer = informer
    this.#commits = commits
    this.#kinds = kinds
    this.#participants = new Participants(participants, kinds)
  }

  /** The object as it would be stored, undefined if its name is taken. */
  async tryNew<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K] | undefined> {
    const {
      kind,
      metadata: { namespace, name },
    } = object as AnyResource
    if ((await this.#reads.find(kind, namespace, name)) !== undefined) return undefined
    const transaction = this.#participants.begin(kind as K)
    const { encoded } = await this.#prepareNew(object, transaction, context)
    await transaction.abandon()
    return atResourceVersion(encoded.object, '')
  }

  /** The new object, undefined if its name is taken. */
  async putNew<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K] | undefined> {
    const {
      kind,
      metadata: { namespace, name },
    } = object as AnyResource
    const key = objectKey(kind, namespace, name)
    const transaction = this.#participants.begin(kind as K)
    for (let attempt = 0; attempt < MAX_ALLOCATION_ATTEMPTS; attempt++) {
      const preparing = this.#prepareNew(object, transaction, context)
      const { prepared, encoded } = preparing instanceof Promise ? await preparing : preparing
      const expected = this.#informer.expectWrite(key, encoded.bytes, encoded.object)
      const operation: Operation = { kind: 'put', key, value: encoded.bytes, expect: { is: 'absent' } }
      const result = await this.#commit(kind, operation, transaction, prepared, context, expected)
      if (result.outcome === 'committed') return expected.committed(result.revision).object
      if (result.conflicts.some(({ index }) => index === 0)) return undefined
    }
    throw contended(kind, namespace, name)
  }

  /**
   * Takes a step from the stored object and commits it; from the newest state again if somebody else was faster. A
   * refusal, or that nothing changes, holds only for the newest state: seen on what the cache shows, it is looked at
   * again.
   */
  async change<K extends Kind>(
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
      let encoded: EncodedObject<K> | undefined
      try {
        const stepped = step(base.object, memory)
        next = stepped instanceof Promise ? await stepped : stepped
        if (next !== base.object) {
          const proposed = next === 'removed' ? undefined : next
          const preparing = transaction.prepare({ next: proposed, previous: base.object, ...writerOf(context) })
          prepared = preparing instanceof Promise ? await preparing : preparing
        }
        if (next !== 'removed' && prepared !== undefined) {
          encoded = encode(prepared.object!, base.object)
          checkSize(next, encoded.bytes)
        }
      } catch (thrown) {
        if (prepared !== undefined) await transaction.abandon()
        if (base.fresh) throw thrown
        base = await this.#fresh(kind, namespace, name)
        continue
      }
      if (prepared === undefined || (next !== 'removed' && isUnchanged(encoded!.bytes, prepared, base))) {
        if (prepared !== undefined) await transaction.abandon()
        const newest = base.fresh ? base : await this.#fresh(kind, namespace, name)
        if (newest.revision === base.revision) return { object: newest.object, changed: false, removed: false }
        base = newest
        continue
      }
      const after = encoded?.object ?? base.object
      if (context.dryRun === true) {
        await transaction.abandon()
        const object = atResourceVersion(after, base.object.metadata.resourceVersion)
        return { object, changed: true, removed: next === 'removed' }
      }
      const key = objectKey(kind, namespace, name)
      const expect = { is: 'at' as const, revision: base.revision }
      const operation: Operation =
        encoded === undefined ? { kind: 'delete', key, expect } : { kind: 'put', key, value: encoded.bytes, expect }
      const expected = encoded && this.#informer.expectWrite(key, encoded.bytes, encoded.object)
      const result = await this.#commit(kind, operation, transaction, prepared, context, expected)
      if (result.outcome === 'committed') {
        const object =
          expected === undefined
            ? atResourceVersion(after, String(result.revision))
            : expected.committed(result.revision).object
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

  #prepareNew<K extends Kind>(
    object: Resources[K],
    transaction: ObjectTransaction<K>,
    context: WriteContext,
  ): PreparedObject<K> | Promise<PreparedObject<K>> {
    const preparing = transaction.prepare({ next: object, previous: undefined, ...writerOf(context) })
    return then(preparing, (prepared): PreparedObject<K> | Promise<PreparedObject<K>> => {
      const encoded = encode(prepared.object!)
      try {
        checkSize(object, encoded.bytes)
      } catch (thrown) {
        const abandoned = transaction.abandon()
        if (abandoned === undefined) throw thrown
        return abandoned.then(() => Promise.reject(GantryError.from(thrown)))
      }
      return { prepared, encoded }
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
    expected: ExpectedWrite<Kind> | undefined,
  ): Promise<Exclude<CommitResult, { outcome: 'deposed' }>> {
    let result: CommitResult | undefined
    try {
      result = await this.#commits.writeAll([operation, ...operations], context.term)
    } finally {
      if (result?.outcome !== 'committed') expected?.abandoned()
      const settled = transaction.settle(result)
      if (settled !== undefined) await settled
    }
    if (result.outcome === 'deposed') throw deposed()
    if (result.outcome === 'committed' && this.#kinds.of(kind).acknowledgedWhenCached === 'write')
      await this.#informer.waitForRevision(result.revision)
    return result
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

/** `known`: the object in whose place it comes. What the two have in common they share. */
function encode<K extends Kind>(object: Resources[K], known?: Resources[K]): EncodedObject<K> {
  const canonical = canonicalResource(object, known)
  return { object: canonical, bytes: encodeResource(canonical as AnyResource) }
}

/** Nothing of it has to be written. */
function isUnchanged<K extends Kind>(bytes: Uint8Array, { operations }: Preparation<K>, base: Base<K>): boolean {
  return operations.length === 0 && Buffer.compare(bytes, base.bytes) === 0
}

function writerOf({ user, dryRun = false }: WriteContext): Pick<ProposedWrite, 'author' | 'dryRun'> {
  return { author: user === undefined ? 'control-plane' : 'user', dryRun }
}

function deposed(): GantryError {
  return new GantryError('Forbidden', 'this controller does not lead any more: nothing was written')
}

export function contended(kind: Kind, namespace: string, name: string): GantryError {
  return new GantryError(
    'Conflict',
    `${named(kind, namespace, name)} was changed by others ${ATTEMPTS} times in a row`,
    { details: [{ remedy: 'try again' }] },
  )
}
