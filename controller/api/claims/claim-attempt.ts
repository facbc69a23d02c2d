/** What one write claims, over all its tries: a participation is made of it and of how values are chosen. */
import type { AnyResource, Kind, Resources } from '../../../proto/gen/types.ts'
import type { Operation } from '../../store/contract.ts'
import type { OperationConflict, TransactionOutcome } from '../participant.ts'
import { ownerName, type Claim } from './claim.ts'
import { takenError, type ClaimTable } from './claim-table.ts'

const NONE: ReadonlyMap<string, Claim> = new Map()

export class ClaimAttempt<K extends Kind> {
  readonly #table: ClaimTable<K>
  /** Claims of others that earlier tries have met: not to be chosen. */
  readonly #avoided = new Set<string>()
  /** Claims whose owner is gone, with the revision at which they are taken over. */
  readonly #abandoned = new Map<string, number>()
  readonly #chosen = new Set<string>()
  #object: Resources[K] | undefined
  /** In the order of the operations that make them, which come first. */
  #claims: readonly Claim[] = []

  constructor(table: ClaimTable<K>) {
    this.#table = table
  }

  /** Whether a key is not to be chosen. */
  isTaken(key: string): boolean {
    return !this.#abandoned.has(key) && (this.#avoided.has(key) || this.#table.isTaken(key))
  }

  /** Whether an earlier try has met another's claim. */
  isAvoided(key: string): boolean {
    return this.#avoided.has(key)
  }

  /** As the cache shows it. */
  holder(key: string): string | undefined {
    return this.#table.holder(key)
  }

  /** No less than how many keys are not to be chosen. */
  get takenCount(): number {
    return this.#avoided.size + this.#table.takenCount
  }

  /** The write is to have it; another one is as good. */
  choose(key: string): void {
    this.#chosen.add(key)
    this.#table.reserve(key)
  }

  /**
   * What makes and frees claims in the transaction that writes `next` in the place of `previous`. InvalidArgument in a
   * dry run if another has what is asked for, as far as the cache shows.
   */
  operations(next: Resources[K] | undefined, previous: Resources[K] | undefined, dryRun: boolean): Operation[] {
    const { scheme } = this.#table
    const before = previous === undefined ? NONE : scheme.claimsOf(previous)
    const after = next === undefined ? NONE : scheme.claimsOf(next)
    if (before.size === 0 && after.size === 0) return []
    const owner = ownerName((next ?? previous) as AnyResource)
    this.#object = next
    this.#claims = [...after.values()].filter(({ key }) => !before.has(key))
    if (dryRun) this.#check(owner)
    const value = scheme.valueOf(owner)
    return [
      ...this.#claims.map(({ key }): Operation => {
        const revision = this.#abandoned.get(key)
        return { kind: 'put', key, value, expect: revision === undefined ? { is: 'absent' } : { is: 'at', revision } }
      }),
      // Whose claim it is, is known: the object that is written in the same transaction says so. Where two objects of
      // before there were claims say it, the one that stays claims it again (claim-collector).
      ...[...before.keys()]
        .filter((key) => !after.has(key))
        .map((key): Operation => ({ kind: 'delete', key, expect: { is: 'any' } })),
    ]
  }

  /** Forgets what was chosen in this try: for errors before there are operations. */
  undo(): void {
    for (const key of this.#chosen) this.#table.unreserve(key)
    this.#chosen.clear()
    this.#claims = []
  }

  /** See Participation. Conflicts are about the operations in their order. */
  settle(outcome: TransactionOutcome): void | Promise<void> {
    const claims = this.#claims
    const chosen = new Set(this.#chosen)
    if (outcome.is === 'committed') for (const key of this.#chosen) this.#table.confirm(key, outcome.revision)
    else this.undo()
    this.#chosen.clear()
    this.#claims = []
    if (outcome.is === 'refused' && outcome.conflicts.length > 0)
      return this.#learn(this.#object!, claims, chosen, outcome.conflicts)
  }

  #check(owner: string): void {
    for (const claim of this.#claims) {
      const holder = this.#table.holder(claim.key)
      if (holder !== undefined && holder !== owner) throw takenError(this.#table.scheme, this.#object!, claim, holder)
    }
  }

  async #learn(
    object: Resources[K],
    claims: readonly Claim[],
    chosen: ReadonlySet<string>,
    conflicts: readonly OperationConflict[],
  ): Promise<void> {
    for (const { index, current } of conflicts) {
      const claim = claims[index]!
      this.#abandoned.delete(claim.key)
      // Gone in the meantime: free.
      if (current === undefined) continue
      const { scheme } = this.#table
      const holder = scheme.ownerOf(current)
      // Its own, of before: the transaction compares the object itself, so nobody else is that owner.
      const isOwn = holder === ownerName(object as AnyResource)
      if (isOwn || (await this.#table.isAbandoned(current))) this.#abandoned.set(claim.key, current.revision)
      else if (chosen.has(claim.key)) this.#avoided.add(claim.key)
      else throw takenError(scheme, object, claim, holder)
    }
  }
}
