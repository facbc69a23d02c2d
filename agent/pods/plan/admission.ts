/** Whether a node can take a pod that it was given: the scheduler's view may be older than the node's own. */
import { formatHostPort, hostPortClaims, portsClash } from '../../../proto/objects/host-ports.ts'
import { ownerOfHostPort, type ReservedPort } from '../../../proto/objects/reserved-ports.ts'
import { podRequestAmounts } from '../../../proto/objects/pod-resources.ts'
import { resourceAmount } from '../../../proto/objects/resource-amounts.ts'
import { quantityValue } from '../../../proto/base/quantity.ts'
import type { Pod } from '../../../proto/gen/types.ts'

export interface AdmissionRejection {
  /** "OutOfcpu", "OutOfpods", "NodePorts", … as Kubernetes names it. */
  readonly reason: string
  readonly message: string
}

/**
 * Undefined: admitted. `others` are the pods that hold resources of the node now; `reserved`: ports that this node
 * needs beside those that every node does; not given for a pod that is here already.
 */
export function checkAdmission(
  pod: Pod,
  others: readonly Pod[],
  allocatable: Readonly<Record<string, string>>,
  reserved?: readonly ReservedPort[],
): AdmissionRejection | undefined {
  const most = allocatable.pods === undefined ? Infinity : quantityValue(allocatable.pods)
  if (others.length + 1 > most)
    return { reason: 'OutOfpods', message: `the node runs ${others.length} pods, of ${most} that it can` }
  const claims = hostPortClaims(pod)
  for (const claim of reserved === undefined ? [] : claims) {
    const owner = ownerOfHostPort(claim, reserved)
    if (owner !== undefined)
      return {
        reason: 'HostPortReserved',
        message: `host port ${formatHostPort(claim)} of the node is reserved for ${owner}`,
      }
  }
  for (const other of claims.length === 0 ? [] : others) {
    const taken = claims.find((claim) => hostPortClaims(other).some((held) => portsClash(claim, held)))
    if (taken !== undefined)
      return {
        reason: 'NodePorts',
        message: `host port ${formatHostPort(taken)} is that of pod ${other.metadata.namespace}/${other.metadata.name} on this node`,
      }
  }
  const used = new Map<string, number>()
  for (const other of others)
    for (const [name, amount] of podRequestAmounts(other)) used.set(name, (used.get(name) ?? 0) + amount)
  for (const [name, amount] of podRequestAmounts(pod)) {
    if (amount === 0) continue
    const capacity = resourceAmount(name, allocatable[name] ?? '0')
    const held = used.get(name) ?? 0
    if (held + amount <= capacity) continue
    const unit = name === 'cpu' ? 'm' : ''
    return {
      reason: `OutOf${name}`,
      message: `not enough ${name} on the node: requested ${amount}${unit}, held by others ${held}${unit}, allocatable ${capacity}${unit}`,
    }
  }
  return undefined
}
