/**
 * Brings claims and their owners together again, where they have come apart: the leader runs it now and then. Claims
 * whose owner is gone are freed (an object was removed otherwise than through this API); what objects say that they
 * hold without a claim is claimed (objects of a version that knew no such claims, or one of two that shared a value).
 */
import { backoffDelay, type BackoffOptions } from '../../../proto/base/backoff.ts'
import { delay, type Clock } from '../../../proto/base/clock.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { AnyResource } from '../../../proto/gen/types.ts'
import type { Informer } from '../../informer/contract.ts'
import type { Entry, Operation, Store, Term } from '../../store/contract.ts'
import type { ConsistentReads } from '../consistent-reads.ts'
import { CLAIMS_PREFIX, isAbandoned, ownerName, splitOwner, type ClaimScheme } from './claim.ts'

/** Milliseconds between two rounds. */
const INTERVAL_MS = 10 * 60_000
const RETRY: BackoffOptions = { first: 1_000, max: 60_000 }

export interface ClaimCollectorParts {
  readonly store: Pick<Store, 'list' | 'commit'>
  readonly informer: Informer
  readonly reads: ConsistentReads
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly schemes: readonly ClaimScheme[]
}

export class ClaimCollector {
  readonly #parts: ClaimCollectorParts

  constructor(parts: ClaimCollectorParts) {
    this.#parts = parts
  }

  /** A round now, and then from time to time, until the signal is aborted. */
  async run(term: Term | undefined, signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#parts
    for (let failures = 0; !signal.aborted;) {
      try {
        const { freed, claimed } = await this.collect(term)
        if (freed > 0 || claimed > 0) logger.info({ freed, claimed }, 'claims are mended')
        failures = 0
      } catch (thrown) {
        failures++
        logger.warn({ err: thrown, failures }, 'claims are not looked through, trying again')
      }
      await delay(clock, failures === 0 ? INTERVAL_MS : backoffDelay(RETRY, failures, random), signal)
    }
  }

  /** One round, within the term of a leader. Unavailable; what was done until then stands. */
  async collect(term?: Term): Promise<{ readonly freed: number; readonly claimed: number }> {
    const { informer, schemes } = this.#parts
    const { entries, revision } = await this.#list()
    await informer.waitForRevision(revision)
    const sums = { freed: 0, claimed: 0 }
    for (const scheme of schemes) {
      sums.freed += await this.#free(scheme, entries, term)
      sums.claimed += await this.#claim(scheme, entries, term)
    }
    return sums
  }

  async #list(): Promise<{ entries: ReadonlyMap<string, Entry>; revision: number }> {
    const entries = new Map<string, Entry>()
    let page = await this.#parts.store.list(CLAIMS_PREFIX)
    const { revision } = page
    for (;;) {
      for (const entry of page.entries) entries.set(entry.key, entry)
      if (page.next === undefined) return { entries, revision }
      page = await this.#parts.store.list(CLAIMS_PREFIX, { after: page.next, revision })
    }
  }

  async #free(scheme: ClaimScheme, entries: ReadonlyMap<string, Entry>, term: Term | undefined): Promise<number> {
    const { reads } = this.#parts
    let freed = 0
    for (const entry of entries.values()) {
      if (!scheme.prefixes.some((prefix) => entry.key.startsWith(CLAIMS_PREFIX + prefix))) continue
      // What the cache shows to be held is; the rest is looked at again.
      if (this.#isShown(scheme, entry) || !(await isAbandoned(scheme, reads, entry))) continue
      const expect = { is: 'at', revision: entry.revision } as const
      if (await this.#commit({ kind: 'delete', key: entry.key, expect }, term)) freed++
    }
    return freed
  }

  #isShown(scheme: ClaimScheme, entry: Entry): boolean {
    const owner = scheme.ownerOf(entry)
    if (owner === undefined) return false
    const { namespace, name } = splitOwner(owner)
    const object = this.#parts.informer.lister(scheme.kind).get(namespace, name)
    return object !== undefined && scheme.isHeldBy(object, entry.key)
  }

  /** Of several objects that say the same the eldest gets it. */
  async #claim(scheme: ClaimScheme, entries: ReadonlyMap<string, Entry>, term: Term | undefined): Promise<number> {
    const claims = [...this.#parts.informer.lister(scheme.kind).list()]
      .sort((one, other) => (createdAt(one) < createdAt(other) ? -1 : 1))
      .flatMap((object) => [...scheme.claimsOf(object).keys()].map((key) => ({ key, owner: ownerName(object) })))
    const seen = new Set(entries.keys())
    let claimed = 0
    for (const { key, owner } of claims) {
      if (seen.has(key)) continue
      seen.add(key)
      const value = scheme.valueOf(owner)
      if (await this.#commit({ kind: 'put', key, value, expect: { is: 'absent' } }, term)) claimed++
    }
    return claimed
  }

  /** False if somebody has written the key since. */
  async #commit(operation: Operation, term: Term | undefined): Promise<boolean> {
    return (await this.#parts.store.commit([operation], term)).outcome === 'committed'
  }
}

function createdAt({ metadata: { creationTimestamp = '', uid } }: AnyResource): string {
  return `${creationTimestamp} ${uid}`
}
