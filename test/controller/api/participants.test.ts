import { MemoryStore } from '../../../controller/store/memory.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { participantSuite } from '../../contract/participant.ts'
import { networkAllocations, nodeRanges, serviceAddresses } from '../../contract/participants.ts'

async function memory(): Promise<{ store: MemoryStore; stop(): Promise<void> }> {
  const store = new MemoryStore(systemClock)
  return { store, stop: () => store.close() }
}

describe('participants', () => {
  describe('service-addresses', () => participantSuite(serviceAddresses, memory))
  describe('node-ranges', () => participantSuite(nodeRanges, memory))
  describe('network-allocations', () => participantSuite(networkAllocations, memory))
})
