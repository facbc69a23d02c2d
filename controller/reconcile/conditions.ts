/** Conditions of a status: one of each type. */
export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly lastTransitionTime?: string | undefined
  readonly reason?: string | undefined
  readonly message?: string | undefined
}

export function findCondition<C extends Condition>(conditions: readonly C[] | undefined, type: string): C | undefined {
  return conditions?.find((condition) => condition.type === type)
}

/**
 * With a condition in its place; lastTransitionTime moves only when the status does. A change of nothing but times is
 * none, unless it is to be renewed.
 */
export function withCondition<C extends Condition>(
  conditions: readonly C[] | undefined,
  condition: C,
  renew = false,
): C[] {
  const list = [...(conditions ?? [])]
  const at = list.findIndex(({ type }) => type === condition.type)
  const before = list[at]
  if (before === undefined) return [...list, condition]
  if (
    !renew &&
    before.status === condition.status &&
    before.reason === condition.reason &&
    before.message === condition.message
  )
    return list
  list[at] =
    before.status === condition.status ? { ...condition, lastTransitionTime: before.lastTransitionTime } : condition
  return list
}

export function withoutCondition<C extends Condition>(conditions: readonly C[] | undefined, type: string): C[] {
  return (conditions ?? []).filter((condition) => condition.type !== type)
}
