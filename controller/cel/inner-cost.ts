/**
 * What an operator or function goes through by itself, without a step of the expression for each part: it is charged
 * before it happens.
 * https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints
 */
import { EXPRESSION_LIMIT } from './budget.ts'

type Cost = (operands: readonly unknown[]) => number

/** Of a namespace's functions the first operand is the namespace. */
const product: Cost = ([, one, other]) => sizeOf(one) * weightOf(other)

const COSTS: Readonly<Record<string, Cost>> = {
  '==': ([left]) => weightOf(left),
  '!=': ([left]) => weightOf(left),
  in: ([, right]) => (right instanceof Map ? 1 : weightOf(right)),
  indexOf: ([list]) => weightOf(list),
  lastIndexOf: ([list]) => weightOf(list),
  distinct: ([list]) => (sizeOf(list) * weightOf(list)) / 2,
  contains: product,
  intersects: product,
  equivalent: (operands) => 2 * product(operands),
}

/** Undefined for one that costs nothing beside its step. */
export function innerCost(name: string): Cost | undefined {
  return Object.hasOwn(COSTS, name) ? COSTS[name] : undefined
}

function sizeOf(list: unknown): number {
  return Array.isArray(list) ? list.length : list instanceof Set ? list.size : 0
}

/**
 * The values in a value, itself among them, and long texts for more than one; as many as no expression may go through,
 * if there are more.
 */
function weightOf(value: unknown): number {
  if (typeof value === 'bigint' || typeof value === 'boolean') return 1
  let weight = 0
  const waiting = [value]
  while (waiting.length > 0 && weight < EXPRESSION_LIMIT) {
    const next = waiting.pop()
    weight += typeof next === 'string' ? 1 + next.length / 100 : 1
    if (Array.isArray(next) || next instanceof Set) for (const item of next as Iterable<unknown>) waiting.push(item)
    else if (next instanceof Map) for (const item of next.values() as Iterable<unknown>) waiting.push(item)
    else if (typeof next === 'object' && next !== null && !(next instanceof Uint8Array))
      for (const item of Object.values(next)) waiting.push(item)
  }
  return Math.ceil(weight)
}
