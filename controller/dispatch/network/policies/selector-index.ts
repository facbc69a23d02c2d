/**
 * Finds selectors by labels and labels by selectors without looking at all of them: by one label that a selector
 * demands.
 */
import type { LabelMatcher } from '../../../../proto/objects/selector.ts'

export type Labels = Readonly<Record<string, string>>

/** Every namespace. */
export const ALL_NAMESPACES = '*'

/**
 * "key=value" of the demand that fewest values meet, one of which an object must have; undefined if a selector demands
 * no value.
 */
function demandedTerms({ requirements }: LabelMatcher): readonly string[] | undefined {
  const demands = requirements
    .filter(({ operator }) => operator === 'In')
    .sort((a, b) => a.values.length - b.values.length)
  return demands[0]?.values.map((value) => `${demands[0]!.key}=${value}`)
}

/** "" stands for what demands nothing, or has any labels. */
const NO_DEMAND = ''

/** Sets of items by namespace and term. */
class Terms<T> {
  readonly #items = new Map<string, Map<string, Set<T>>>()

  add(namespace: string, term: string, item: T): void {
    let terms = this.#items.get(namespace)
    if (terms === undefined) this.#items.set(namespace, (terms = new Map()))
    let items = terms.get(term)
    if (items === undefined) terms.set(term, (items = new Set()))
    items.add(item)
  }

  remove(namespace: string, term: string, item: T): void {
    const terms = this.#items.get(namespace)
    const items = terms?.get(term)
    if (terms === undefined || items === undefined || !items.delete(item) || items.size > 0) return
    terms.delete(term)
    if (terms.size === 0) this.#items.delete(namespace)
  }

  get(namespace: string, term: string): Iterable<T> {
    return this.#items.get(namespace)?.get(term) ?? []
  }

  namespaces(): Iterable<string> {
    return this.#items.keys()
  }
}

/** Selectors: who might select an object with these labels? */
export class SelectorIndex<T> {
  readonly #terms = new Terms<T>()

  add(namespace: string, matcher: LabelMatcher, item: T): void {
    for (const term of demandedTerms(matcher) ?? [NO_DEMAND]) this.#terms.add(namespace, term, item)
  }

  remove(namespace: string, matcher: LabelMatcher, item: T): void {
    for (const term of demandedTerms(matcher) ?? [NO_DEMAND]) this.#terms.remove(namespace, term, item)
  }

  /** All that match are among them; each comes once. */
  candidates(namespace: string, labels: Labels): Set<T> {
    const found = new Set<T>()
    const terms = [NO_DEMAND, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)]
    for (const where of [namespace, ALL_NAMESPACES])
      for (const term of terms) for (const item of this.#terms.get(where, term)) found.add(item)
    return found
  }
}

/** Objects with labels: whom might a selector select? */
export class LabelIndex<T> {
  readonly #terms = new Terms<T>()

  add(namespace: string, labels: Labels, item: T): void {
    this.#terms.add(namespace, NO_DEMAND, item)
    for (const [key, value] of Object.entries(labels)) this.#terms.add(namespace, `${key}=${value}`, item)
  }

  remove(namespace: string, labels: Labels, item: T): void {
    this.#terms.remove(namespace, NO_DEMAND, item)
    for (const [key, value] of Object.entries(labels)) this.#terms.remove(namespace, `${key}=${value}`, item)
  }

  /** All that match are among them; each comes once. */
  *candidates(namespace: string, matcher: LabelMatcher): Generator<T, void, undefined> {
    const terms = demandedTerms(matcher) ?? [NO_DEMAND]
    for (const where of namespace === ALL_NAMESPACES ? [...this.#terms.namespaces()] : [namespace])
      for (const term of new Set(terms)) yield* this.#terms.get(where, term)
  }
}
