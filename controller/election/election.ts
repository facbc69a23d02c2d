/**
 * Who leads: the one whose name stands under the election key, which a lease keeps alive. A lease is not a lock: the
 * leader may be paused while it runs out. So every write of a leader carries its term, which the store compares, and
 * the leader stops by its own monotonic clock before the lease can end.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay } from '../../proto/base/backoff.ts'
import { elapsed, type Clock, type Timer } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { Entry, Store, Term } from '../store/contract.ts'

export const ELECTION_KEY = '/gantry-election/leader'

const LEASE_SECONDS = 5
/**
 * A leader stops this many milliseconds after it asked for the last renewal that succeeded: 1.5 s before the lease can
 * end.
 */
const RENEW_DEADLINE_MS = 3500
const RENEW_MILLIS = 1000
const RETRY = { first: 100, max: 1000 }

export interface ElectionOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Of this controller; what `leader()` tells the others. */
  readonly name: string
  /**
   * No other running process can have this name (its data directory is locked): a key with it is left over from a run
   * that was killed, and is removed at once instead of after its lease. Were that wrong, the term would still keep the
   * other from writing.
   */
  readonly nameIsOurs?: boolean
}

export class Election {
  readonly #options: ElectionOptions
  #holder: Entry | undefined
  /** The revision at which `#holder` is known. */
  #knownAt = 0
  #changed: (() => void)[] = []
  /** Set while this one leads: ends it. */
  #resign: ((reason: GantryError) => void) | undefined
  #term: Term | undefined

  constructor(options: ElectionOptions) {
    this.#options = options
  }

  /** The leading controller's name, '' if none leads as far as is known. */
  leader(): string {
    return this.#holder === undefined ? '' : Buffer.from(this.#holder.value).toString()
  }

  /**
   * Campaigns until the signal is aborted, and calls `lead` for each term. `lead` must end soon after its signal is
   * aborted: the next campaign waits for it; when it returns by itself the leadership is given up and campaigned for
   * again. What it throws while it still leads ends the election, the leadership given up as well. Unavailability of
   * the store is waited out. Without `lead` it only follows who leads.
   */
  async run(signal: AbortSignal, lead?: (term: Term, signal: AbortSignal) => Promise<void>): Promise<void> {
    const group = new RunGroup(signal)
    group.add((end) => this.#follow(end))
    if (lead !== undefined) group.add((end) => this.#campaign(end, lead))
    try {
      await group.wait()
    } finally {
      this.#holder = undefined
    }
  }

  async #campaign(signal: AbortSignal, lead: (term: Term, signal: AbortSignal) => Promise<void>): Promise<void> {
    const { store, clock, random, logger, name, nameIsOurs } = this.#options
    const value = Buffer.from(name)
    for (let failures = 0; !signal.aborted;) {
      let leaseId: string | undefined
      try {
        const current = await store.get(ELECTION_KEY)
        if (current !== undefined) {
          if (nameIsOurs === true && Buffer.from(current.value).equals(value)) {
            logger.info({ createRevision: current.createRevision }, 'removing the leadership of a former run')
            await store.commit([
              { kind: 'delete', key: ELECTION_KEY, expect: { is: 'at', revision: current.revision } },
            ])
          } else await this.#gone(current, signal)
          continue
        }
        const asked = clock.monotonic()
        leaseId = await store.grantLease(LEASE_SECONDS)
        const result = await store.commit([
          { kind: 'put', key: ELECTION_KEY, value, expect: { is: 'absent' }, leaseId },
        ])
        failures = 0
        if (result.outcome === 'committed')
          await this.#lead({ key: ELECTION_KEY, createRevision: result.revision }, leaseId, asked, signal, lead)
      } catch (error) {
        if (!GantryError.is(error, 'Unavailable', 'NotFound')) throw error
        logger.warn({ err: error }, 'cannot campaign now')
        failures++
      } finally {
        if (leaseId !== undefined) await this.#revoke(leaseId)
      }
      if (failures > 0) await elapsed(clock, backoffDelay(RETRY, failures, random), signal)
    }
  }

  /** One term, from winning to the end of `lead`. */
  async #lead(
    term: Term,
    leaseId: string,
    asked: number,
    signal: AbortSignal,
    lead: (term: Term, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { logger } = this.#options
    const leadership = new AbortController()
    const stop = (): void => leadership.abort()
    const resign = (reason: GantryError): void => {
      if (leadership.signal.aborted) return
      logger.warn({ reason: reason.message, term: term.createRevision }, 'leads no more')
      stop()
    }
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    this.#resign = resign
    this.#term = term
    const renewing = this.#renew(leaseId, asked, leadership.signal, resign)
    logger.info({ term: term.createRevision }, 'leads')
    this.#checkTerm()
    try {
      if (!leadership.signal.aborted) await lead(term, leadership.signal)
    } catch (error) {
      if (!leadership.signal.aborted) throw error
      logger.warn({ err: error }, 'the leader ended with an error after it was told to stop')
    } finally {
      this.#resign = undefined
      this.#term = undefined
      stop()
      signal.removeEventListener('abort', stop)
      await renewing
    }
  }

  /** Renews the lease, and resigns when that did not succeed in time. */
  async #renew(
    leaseId: string,
    asked: number,
    signal: AbortSignal,
    resign: (reason: GantryError) => void,
  ): Promise<void> {
    const { store, clock, logger } = this.#options
    let deadline: Timer | undefined
    const extend = (from: number): void => {
      deadline?.cancel()
      deadline = clock.after(from + RENEW_DEADLINE_MS - clock.monotonic(), () =>
        resign(new GantryError('DeadlineExceeded', `the lease was not renewed for ${RENEW_DEADLINE_MS} ms`)),
      )
    }
    extend(asked)
    let pause = RENEW_MILLIS
    while (await elapsed(clock, pause, signal)) {
      const sent = clock.monotonic()
      try {
        if (!(await store.keepLease(leaseId))) {
          resign(new GantryError('FailedPrecondition', 'the lease has ended'))
          break
        }
        // An answer that comes after the deadline does not bring the leadership back.
        if (!signal.aborted) extend(sent)
        // From question to question: a store whose answers take long must not be asked the more rarely.
        pause = Math.max(0, sent + RENEW_MILLIS - clock.monotonic())
      } catch (error) {
        logger.warn({ err: error }, 'cannot renew the lease now')
        pause = RETRY.first
      }
    }
    deadline?.cancel()
  }

  /** Gives up the key at once. Where the store cannot be reached the lease runs out by itself. */
  async #revoke(leaseId: string): Promise<void> {
    try {
      await this.#options.store.revokeLease(leaseId)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'cannot revoke the lease: it ends by itself')
    }
  }

  /** Keeps `leader()` up to date and wakes who waits for a change. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { store, clock, random, logger } = this.#options
    for (let failures = 0; !signal.aborted;) {
      try {
        const { entries, revision } = await store.list(ELECTION_KEY)
        this.#see(
          entries.find(({ key }) => key === ELECTION_KEY),
          revision,
        )
        failures = 0
        for await (const batch of store.watch(ELECTION_KEY, revision, signal)) {
          const last = batch.events.findLast(({ entry }) => entry.key === ELECTION_KEY)
          if (last !== undefined) this.#see(last.type === 'put' ? last.entry : undefined, batch.revision)
        }
      } catch (error) {
        if (signal.aborted) return
        if (!GantryError.is(error, 'Unavailable', 'Expired')) throw error
        logger.warn({ err: error }, 'cannot follow who leads')
        await elapsed(clock, backoffDelay(RETRY, ++failures, random), signal)
      }
    }
  }

  #see(holder: Entry | undefined, revision: number): void {
    this.#holder = holder
    this.#knownAt = revision
    this.#checkTerm()
    for (const wake of this.#changed.splice(0)) wake()
  }

  /** Resigns when the key is seen to be another's; news from before the term began does not count. */
  #checkTerm(): void {
    if (
      this.#term === undefined ||
      this.#knownAt < this.#term.createRevision ||
      this.#holder?.createRevision === this.#term.createRevision
    )
      return
    this.#resign?.(
      new GantryError(
        'FailedPrecondition',
        this.#holder === undefined ? 'the election key is gone' : `${this.leader()} leads now`,
      ),
    )
  }

  /** Resolves when the election key is no longer as it was seen, or the signal is aborted. */
  async #gone(seen: Entry, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (this.#knownAt < seen.revision || this.#holder?.revision === seen.revision)) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake)
          resolve()
        }
        signal.addEventListener('abort', wake, { once: true })
        this.#changed.push(wake)
      })
    }
  }
}
