/**
 * The configurations in force that may be about a request, by what is known before its object is read: found once for
 * all requests of one sort. Rules for what else a request is (its version, names, labels) are held against it later.
 */
import { resourceOf } from '../../proto/schema/schema.ts'
import type { AdmissionRequestInfo } from '../api/contract.ts'
import type { DerivedValue } from './derived-value.ts'
import type { Matcher } from './matcher.ts'
import { isSubjectToAdmission } from './versioned-attributes.ts'

const NONE: readonly never[] = []

export class Candidates<T> {
  readonly #inForce: DerivedValue<readonly T[]>
  readonly #matcherOf: (one: T) => Matcher
  /** Of those that were in force when they were found. */
  readonly #found = new Map<string, readonly T[]>()
  #all: readonly T[] = NONE

  constructor(inForce: DerivedValue<readonly T[]>, matcherOf: (one: T) => Matcher) {
    this.#inForce = inForce
    this.#matcherOf = matcherOf
  }

  of(occasion: AdmissionRequestInfo): readonly T[] {
    const all = this.#inForce.get()
    if (all.length === 0 || !isSubjectToAdmission(occasion)) return NONE
    if (all !== this.#all) this.#found.clear()
    this.#all = all
    const { operation, kind, subresource } = occasion
    // A custom kind that is defined anew may be called otherwise: what rules name tells the requests apart.
    const { group, plural } = resourceOf(kind)
    const key = `${operation} ${group} ${plural} ${subresource}`
    let found = this.#found.get(key)
    if (found === undefined) {
      found = all.filter((one) => this.#matcherOf(one).mayMean(operation, group, plural, subresource))
      this.#found.set(key, found)
    }
    return found
  }
}
