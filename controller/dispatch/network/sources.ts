/** Everything that nodes are told of the network. */
import type { NetworkSource } from './contract.ts'
import { EntranceSource } from './entrance-source.ts'
import { ObjectsSource } from './objects-source.ts'
import { PeersSource } from './peers-source.ts'
import { PoliciesSource } from './policies/policies-source.ts'

/** Made anew for every controller: they remember what they follow. */
export function networkSources(): NetworkSource[] {
  return [new PeersSource(), new ObjectsSource('Service'), new ObjectsSource('EndpointSlice'), new ObjectsSource('Network'), new PoliciesSource(), new EntranceSource()]
}
