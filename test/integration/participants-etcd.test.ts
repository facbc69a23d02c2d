import { EtcdStore } from '../../controller/store/etcd.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { participantSuite } from '../contract/participant.ts'
import { networkAllocations, nodeRanges, serviceAddresses } from '../contract/participants.ts'
import { TestEtcd } from './store-etcd.ts'

async function etcdStore(): Promise<{ store: EtcdStore; stop(): Promise<void> }> {
  const etcd = await TestEtcd.start()
  const store = new EtcdStore({ endpoints: [etcd.endpoint], clock: systemClock }, systemRandom)
  return {
    store,
    stop: async () => {
      await store.close()
      await etcd.remove()
    },
  }
}

describe('participants on etcd', function () {
  this.timeout(120_000)
  describe('service-addresses', () => participantSuite(serviceAddresses, etcdStore))
  describe('node-ranges', () => participantSuite(nodeRanges, etcdStore))
  describe('network-allocations', () => participantSuite(networkAllocations, etcdStore))
})
