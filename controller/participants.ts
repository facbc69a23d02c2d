/** The participants of one control plane: all that strategies of kinds name. */
import type { Random } from '../proto/base/random.ts'
import type { ConsistentReads } from './api/consistent-reads.ts'
import type { ParticipantTable } from './api/participant.ts'
import { ServiceAllocator } from './api/services/service-allocator.ts'
import { NodeRangeAllocator } from './dispatch/node-range-allocator.ts'
import type { Informer } from './informer/contract.ts'
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
  return { 'service-addresses': new ServiceAllocator(parts), 'node-ranges': new NodeRangeAllocator(parts) }
}
