/**
 * Conditions of a status: one of each type. Reads and writes of them in every part follow these rules.
 * https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
 */

/** What conditions of all kinds have in common. */
export interface ConditionLike {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly lastTransitionTime?: string | undefined
  readonly reason?: string | undefined
  readonly message?: string | undefined
}

export function findCondition<C extends { readonly type: string }>(
  conditions: readonly C[] | undefined,
  type: string,
): C | undefined {
  return conditions?.find((condition) => condition.type === type)
}

/** A condition that nobody has written is not true. */
export function isConditionTrue(
  conditions: readonly Pick<ConditionLike, 'type' | 'status'>[] | undefined,
  type: string,
): boolean {
  return findCondition(conditions, type)?.status === 'True'
}

/** When a condition came to the status that it has from now on: a time moves only when the status does. */
export function transitionTime(
  before: ConditionLike | undefined,
  status: ConditionLike['status'],
  now: string,
): string {
  return before?.status === status ? (before.lastTransitionTime ?? now) : now
}

/** Equal but for times and the generation that was looked at. */
export function sameCondition(a: ConditionLike, b: ConditionLike): boolean {
  return a.type === b.type && a.status === b.status && a.reason === b.reason && a.message === b.message
}

/**
 * The conditions with one set: in the place of the one of its type, or at the end. `condition.lastTransitionTime` is
 * now, and is kept only if the status changes. A change of nothing but times is none, unless `renew` says that the
 * condition is written anew all the same (heartbeats, generations).
 */
export function withCondition<C extends ConditionLike>(
  conditions: readonly C[] | undefined,
  condition: C,
  { renew = false }: { readonly renew?: boolean } = {},
): C[] {
  const list = [...(conditions ?? [])]
  const at = list.findIndex(({ type }) => type === condition.type)
  const before = list[at]
  if (before === undefined) return [...list, condition]
  if (!renew && sameCondition(before, condition)) return list
  list[at] = renewed(before, condition)
  return list
}

/** A condition written anew: its time moves only if the status does. */
function renewed<C extends ConditionLike>(before: C, condition: C): C {
  return before.status === condition.status && before.lastTransitionTime !== undefined
    ? { ...condition, lastTransitionTime: before.lastTransitionTime }
    : condition
}

/**
 * The conditions with several set and written anew, one after the other. A node says how many there are, before anybody
 * has counted them: the time taken grows with their number, not with its square.
 */
export function withConditions<C extends ConditionLike>(
  conditions: readonly C[] | undefined,
  observed: readonly C[],
): C[] {
  const list = [...(conditions ?? [])]
  const places = new Map<string, number>()
  for (const [index, { type }] of list.entries()) if (!places.has(type)) places.set(type, index)
  for (const condition of observed) {
    const place = places.get(condition.type)
    if (place === undefined) places.set(condition.type, list.push(condition) - 1)
    else list[place] = renewed(list[place]!, condition)
  }
  return list
}

export function withoutCondition<C extends { readonly type: string }>(
  conditions: readonly C[] | undefined,
  type: string,
): C[] {
  return (conditions ?? []).filter((condition) => condition.type !== type)
}
