/**
 * Functions of lists, and lists as sets. https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-list-library,
 * …/#cel-options-language-features-and-libraries
 */
import type { Environment } from '@marcbachmann/cel-js'
import { CelError } from '../error.ts'
import { define, Namespace } from './define.ts'

class Sets extends Namespace {}
type List = readonly unknown[] | ReadonlySet<unknown>

export function registerLists(environment: Environment): void {
  define(
    environment,
    {
      'list<T>.isSorted(): bool': (list: List) =>
        [...list].every((item, index, all) => index === 0 || compare(all[index - 1], item) <= 0),
      'list<T>.sum(): T': sum,
      'list<T>.min(): T': (list: List) => extreme(list, -1),
      'list<T>.max(): T': (list: List) => extreme(list, 1),
      'list<T>.indexOf(T): int': (list: List, item: unknown) =>
        BigInt([...list].findIndex((other) => equal(other, item))),
      'list<T>.lastIndexOf(T): int': (list: List, item: unknown) =>
        BigInt([...list].findLastIndex((other) => equal(other, item))),
      'list<T>.distinct(): list<T>': (list: List) =>
        [...list].filter((item, index, all) => all.findIndex((other) => equal(other, item)) === index),
      'list<T>.reverse(): list<T>': (list: List) => [...list].reverse(),
      'list<T>.sort(): list<T>': (list: List) => [...list].sort(compare),
      'list<T>.slice(int, int): list<T>': (list: List, from: bigint, to: bigint) => {
        const items = [...list]
        if (from < 0n || to < from || to > BigInt(items.length))
          throw new CelError(`cannot slice(${from}, ${to}) a list with ${items.length} items`, 'evaluation')
        return items.slice(Number(from), Number(to))
      },
      'Sets.contains(list<T>, list<T>): bool': (_sets: Sets, list: List, sub: List) =>
        [...sub].every((item) => has(list, item)),
      'Sets.equivalent(list<T>, list<T>): bool': (_sets: Sets, a: List, b: List) =>
        [...a].every((item) => has(b, item)) && [...b].every((item) => has(a, item)),
      'Sets.intersects(list<T>, list<T>): bool': (_sets: Sets, a: List, b: List) => [...a].some((item) => has(b, item)),
    },
    { sets: Sets },
  )
}

function has(list: List, item: unknown): boolean {
  return [...list].some((other) => equal(other, item))
}

/** Equal as CEL has it, of values as they are in memory. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== typeof b)
    return (
      (typeof a === 'number' || typeof a === 'bigint') &&
      (typeof b === 'number' || typeof b === 'bigint') &&
      Number(a) === Number(b)
    )
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime()
  if (a instanceof Set || b instanceof Set) {
    const [one, other] = [[...(a as Set<unknown>)], [...(b as Set<unknown>)]]
    return (
      one.length === other.length &&
      one.every((item) => (b as Set<unknown>).has(item) || other.some((candidate) => equal(candidate, item)))
    )
  }
  if (Array.isArray(a) || Array.isArray(b))
    return (
      Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, index) => equal(item, b[index]))
    )
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  if (typeof (a as { compare?: unknown }).compare === 'function')
    return (a as { compare: (other: object) => number }).compare(b) === 0
  const [one, other] = [entriesOf(a), entriesOf(b)]
  return one.size === other.size && [...one].every(([key, value]) => other.has(key) && equal(value, other.get(key)))
}

function entriesOf(value: object): Map<unknown, unknown> {
  return value instanceof Map ? value : new Map(Object.entries(value).filter(([, part]) => part !== undefined))
}

/** Negative, zero or positive, for values that have an order. */
function compare(a: unknown, b: unknown): number {
  const [x, y] = [orderOf(a), orderOf(b)]
  return x < y ? -1 : x > y ? 1 : 0
}

function orderOf(value: unknown): number | bigint | string {
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Date) return value.getTime()
  if (typeof value === 'object' && value !== null) {
    const primitive: unknown = (value as { valueOf: () => unknown }).valueOf()
    if (typeof primitive === 'number' || typeof primitive === 'bigint') return primitive
  }
  throw new CelError('values of this type have no order', 'evaluation')
}

function extreme(list: List, sign: 1 | -1): unknown {
  const items = [...list]
  if (items.length === 0) throw new CelError('min and max need a list that is not empty', 'evaluation')
  return items.reduce((best, item) => (compare(item, best) * sign > 0 ? item : best))
}

function sum(list: List): unknown {
  const items = [...list]
  const [first] = items
  if (first === undefined) return 0n
  return items.slice(1).reduce((total, item) => {
    if (typeof total === 'number' && typeof item === 'number') return total + item
    if (typeof total === 'bigint' && typeof item === 'bigint') return total + item
    const adding = total as { addDuration?: (other: unknown) => unknown }
    if (typeof adding.addDuration === 'function') return adding.addDuration(item)
    throw new CelError('sum is for numbers and durations', 'evaluation')
  }, first)
}
