/** What says which addresses and ports users may take, as the controller has it. */
import type { ReservedPort } from '../../proto/objects/reserved-ports.ts'
import type { AdmissionPlugin } from '../api/contract.ts'
import { ExternalAddresses, type ExternalAddressesParts } from './external-addresses.ts'
import { ExternalAddressesPlugin } from './external-addresses-plugin.ts'
import { HostPortsPlugin } from './host-ports-plugin.ts'

export interface AddressPolicyParts extends ExternalAddressesParts {
  /** Ports of machines that are the cluster's, beside those that always are. */
  readonly reservedPorts: readonly ReservedPort[]
}

export class AddressPolicy {
  readonly addresses: ExternalAddresses
  readonly plugins: readonly AdmissionPlugin[]

  constructor(parts: AddressPolicyParts) {
    this.addresses = new ExternalAddresses(parts)
    this.plugins = [
      new ExternalAddressesPlugin(this.addresses, parts.informer),
      new HostPortsPlugin(parts.reservedPorts),
    ]
  }
}
