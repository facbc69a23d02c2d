/** The participants of one control plane: all that strategies of kinds name. */
import { splitCidrs } from '../proto/base/cidr.ts'
import type { Random } from '../proto/base/random.ts'
import type { ClaimScheme } from './api/claims/claim.ts'
import type { ConsistentReads } from './api/consistent-reads.ts'
import type { ParticipantTable } from './api/participant.ts'
import { DEFAULT_SERVICE_CIDR, ServiceAllocator } from './api/services/service-allocator.ts'
import { SERVICE_CLAIMS } from './api/services/service-claims.ts'
import { DEFAULT_POD_CIDR, NODE_CLAIMS, NodeRangeAllocator } from './dispatch/node-range-allocator.ts'
import type { Informer } from './informer/contract.ts'
import { NETWORK_CLAIMS, NetworkAllocator } from './reconcile/network/network-allocator.ts'
import type { Store } from './store/contract.ts'

export interface ParticipantParts {
  readonly informer: Informer
  readonly reads: ConsistentReads
  readonly store: Pick<Store, 'get'>
  readonly random: Random
  /** Addresses of Services: one range, or one of each family separated by a comma (default 10.96.0.0/16). */
  readonly serviceCidr?: string | undefined
  /** Addresses of pods, in the same way (default 10.244.0.0/16). */
  readonly podCidr?: string | undefined
}

/** InvalidArgument for a range that is none. */
export function createParticipants(parts: ParticipantParts): ParticipantTable {
  const { podCidr = DEFAULT_POD_CIDR, serviceCidr = DEFAULT_SERVICE_CIDR } = parts
  const clusterRanges = [...splitCidrs(podCidr), ...splitCidrs(serviceCidr)]
  return {
    'service-addresses': new ServiceAllocator(parts),
    'node-ranges': new NodeRangeAllocator(parts),
    'network-allocations': new NetworkAllocator({ ...parts, clusterRanges }),
  }
}

/** How they claim: what the leader looks through. */
export const CLAIM_SCHEMES = [SERVICE_CLAIMS, NODE_CLAIMS, NETWORK_CLAIMS] as unknown as readonly ClaimScheme[]
