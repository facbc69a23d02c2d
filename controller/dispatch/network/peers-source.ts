/** The nodes, as each of them reaches the others and their pods. */
import { readAddress, readCidr } from '../../../proto/base/cidr.ts'
import type { Node, PeerNode } from '../../../proto/gen/types.ts'
import type { Informer } from '../../informer/contract.ts'
import { healthOf } from '../../nodehealth/health.ts'
import type { EntrySink, NetworkSource } from './contract.ts'

export class PeersSource implements NetworkSource {
  readonly name = 'peers'

  start(informer: Informer, sink: EntrySink): () => void {
    return informer.on('Node', ({ type, cached: { object } }) => {
      const peer = peerOf(object)
      const gone = type === 'deleted' || peer.podCidrs.length === 0
      sink.all(`PeerNode/${peer.name}`, JSON.stringify(peer), gone ? undefined : () => ({ case: 'peer', value: peer }))
    })
  }
}

/** What is stored since before statuses were validated may be anything: nodes are told of addresses and ranges only. */
function peerOf(node: Node): PeerNode {
  const {
    metadata: { name, labels = {} },
    spec: { podCIDR, podCIDRs },
    status,
  } = node
  return {
    name,
    addresses: (status.addresses ?? []).flatMap(({ type, address = '' }) =>
      type === 'InternalIP' && readAddress(address) !== undefined ? address : [],
    ),
    podCidrs: (podCIDRs ?? (podCIDR === undefined ? [] : [podCIDR])).filter((range) => readCidr(range) !== undefined),
    labels,
    present: healthOf(node).is !== 'lost',
  }
}
