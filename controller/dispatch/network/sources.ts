/** Everything that nodes are told of the network. */
import type { ExternalAddresses } from '../../traffic/external-addresses.ts'
import type { NetworkSource } from './contract.ts'
import { IngressSource } from './ingress-source.ts'
import { ObjectsSource } from './objects-source.ts'
import { PeersSource } from './peers-source.ts'
import { ServicesSource } from './services-source.ts'
import { PoliciesSource } from './policies/policies-source.ts'

/**
 * Made anew for every controller: they remember what they follow. Without `external` every address that a Service says
 * is told.
 */
export function networkSources(external?: ExternalAddresses): NetworkSource[] {
  return [
    new PeersSource(),
    external === undefined ? new ObjectsSource('Service') : new ServicesSource(external),
    new ObjectsSource('EndpointSlice'),
    new ObjectsSource('Network'),
    new PoliciesSource(),
    new IngressSource(),
  ]
}
