/** Everything that needs a whole cluster, on one cluster of three nodes. */
import { Cluster } from './cluster.ts'
import { commands } from './commands.ts'
import { containers } from './containers.ts'
import { faults } from './faults.ts'
import { images } from './images.ts'
import { manifests } from './manifests.ts'
import { network } from './network.ts'
import { workloads } from './workloads.ts'

describe('end to end', function () {
  this.timeout(120_000)
  let cluster: Cluster | undefined

  before(async () => {
    cluster = await Cluster.start('e2e', 3)
  })

  after(async () => {
    await cluster?.stop()
  })

  for (const suite of [workloads, manifests, containers, images, network, commands, faults]) suite(() => cluster!)
})
