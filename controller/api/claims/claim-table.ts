/**
 * Who holds what, of one kind's claims: an index of the cache, and what is on its way to it. It makes good choices
 * likely; that nobody holds a claim twice is the store's doing.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { describeObject } from '../../../proto/schema/schema.ts'
import type { AnyResource, Kind, Resources } from '../../../proto/gen/types.ts'
import type { Informer } from '../../informer/contract.ts'
import type { Entry } from '../../store/contract.ts'
import type { ConsistentReads } from '../consistent-reads.ts'
import { isAbandoned, ownerName, type Claim, type ClaimScheme } from './claim.ts'

export interface ClaimTableParts<K extends Kind> {
  readonly scheme: ClaimScheme<K>
  readonly informer: Informer
  readonly reads: Pick<ConsistentReads, 'find'>
}

export class ClaimTable<K extends Kind> {
  readonly scheme: ClaimScheme<K>
  readonly #informer: Informer
  readonly #reads: Pick<ConsistentReads, 'find'>
  /** Owners by key, those that the cache showed first first: objects of before there were claims may share one. */
  #holders: Map<string, string | string[]> | undefined
  /** Chosen; with the revision, once it is stored, at which the cache shows it. */
  readonly #pending = new Map<string, number | undefined>()

  constructor({ scheme, informer, reads }: ClaimTableParts<K>) {
    this.scheme = scheme
    this.#informer = informer
    this.#reads = reads
  }

  /** As the cache shows it: of several the one that it showed first. */
  holder(key: string): string | undefined {
    const holders = this.#followed().get(key)
    return typeof holders === 'string' ? holders : holders?.[0]
  }

  isTaken(key: string): boolean {
    return this.#isPending(key) || this.#followed().has(key)
  }

  /** Keys that are held, in no order. */
  get held(): Iterable<string> {
    return this.#followed().keys()
  }

  /** No less than how many keys are taken. */
  get takenCount(): number {
    return this.#pending.size + this.#followed().size
  }

  reserve(key: string): void {
    this.#pending.set(key, undefined)
  }

  /** Stored: taken until the cache shows it, and then as the cache says. */
  confirm(key: string, revision: number): void {
    if (this.#informer.revision >= revision) this.#pending.delete(key)
    else this.#pending.set(key, revision)
  }

  unreserve(key: string): void {
    this.#pending.delete(key)
  }

  isAbandoned(entry: Pick<Entry, 'key' | 'value'>): Promise<boolean> {
    return isAbandoned(this.scheme, this.#reads, entry)
  }

  #isPending(key: string): boolean {
    if (!this.#pending.has(key)) return false
    const revision = this.#pending.get(key)
    if (revision === undefined || revision > this.#informer.revision) return true
    this.#pending.delete(key)
    return false
  }

  /** From the first use on. */
  #followed(): ReadonlyMap<string, string | string[]> {
    if (this.#holders !== undefined) return this.#holders
    this.#holders = new Map()
    this.#informer.on(this.scheme.kind, ({ type, cached: { object }, previous }) => {
      const owner = ownerName(object as AnyResource)
      const before = previous === undefined ? [] : [...this.scheme.claimsOf(previous.object).keys()]
      const after = type === 'deleted' ? undefined : this.scheme.claimsOf(object)
      for (const key of before) if (after?.has(key) !== true) this.#remove(key, owner)
      for (const key of after?.keys() ?? []) {
        this.#add(key, owner)
        this.#pending.delete(key)
      }
    })
    return this.#holders
  }

  #add(key: string, owner: string): void {
    const known = this.#holders!.get(key)
    if (known === undefined) this.#holders!.set(key, owner)
    else if (typeof known === 'string') {
      if (known !== owner) this.#holders!.set(key, [known, owner])
    } else if (!known.includes(owner)) known.push(owner)
  }

  #remove(key: string, owner: string): void {
    const known = this.#holders!.get(key)
    if (known === owner) this.#holders!.delete(key)
    else if (Array.isArray(known)) {
      const left = known.filter((other) => other !== owner)
      this.#holders!.set(key, left.length === 1 ? left[0]! : left)
    }
  }
}

/** InvalidArgument: what is asked for is another's. */
export function takenError<K extends Kind>(
  { kind }: ClaimScheme<K>,
  object: Resources[K],
  { field, value }: Claim,
  holder: string | undefined,
): GantryError {
  const message = holder === undefined ? 'was taken just now' : `is taken by ${kind} ${holder}`
  const remedy = 'ask for another, or leave it out'
  return new GantryError(
    'InvalidArgument',
    `${describeObject(object as AnyResource)} is invalid: ${field}: ${value} ${message} (${remedy})`,
    { details: [{ field, value, message, remedy }] },
  )
}
