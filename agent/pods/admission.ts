/** Whether a node can take a pod that it was given: the scheduler's view may be older than the node's own. */
import { quantityMillis, quantityValue } from '../../proto/api/quantity.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { podRequests } from './quality.ts'

export interface Refusal {
  /** "OutOfcpu", "OutOfpods", … as Kubernetes names it. */
  readonly reason: string
  readonly message: string
}

/** Undefined: admitted. `others` are the pods that hold resources of the node now. */
export function admit(pod: Pod, others: readonly Pod[], allocatable: Readonly<Record<string, string>>): Refusal | undefined {
  const most = allocatable.pods === undefined ? Infinity : quantityValue(allocatable.pods)
  if (others.length + 1 > most) return { reason: 'OutOfpods', message: `the node runs ${others.length} pods, of ${most} that it can` }
  const used = new Map<string, number>()
  for (const other of others) for (const [name, amount] of podRequests(other)) used.set(name, (used.get(name) ?? 0) + amount)
  for (const [name, amount] of podRequests(pod)) {
    if (amount === 0) continue
    const text = allocatable[name] ?? '0'
    const capacity = name === 'cpu' ? quantityMillis(text) : quantityValue(text)
    const held = used.get(name) ?? 0
    if (held + amount <= capacity) continue
    const unit = name === 'cpu' ? 'm' : ''
    return { reason: `OutOf${name}`, message: `not enough ${name} on the node: requested ${amount}${unit}, held by others ${held}${unit}, allocatable ${capacity}${unit}` }
  }
  return undefined
}
