/** Two pods with one host port do not share a node, and none has that of Ingresses on an ingress node. */
import { formatHostPort, hostPortClaims, portsClash, type HostPortClaim } from '../../../proto/objects/host-ports.ts'
import { INGRESS_NODE_LABEL } from '../../../proto/objects/ingress/classes.ts'
import { INGRESS_PORTS } from '../../../proto/objects/reserved-ports.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import type { FilterPlugin } from '../framework.ts'

/** What each pod takes: most take nothing, and every pod of a node is looked at for each one that takes something. */
const claimsOf = new WeakMap<Pod, readonly HostPortClaim[]>()

function claims(pod: Pod): readonly HostPortClaim[] {
  let known = claimsOf.get(pod)
  if (known === undefined) claimsOf.set(pod, (known = hostPortClaims(pod)))
  return known
}

export const nodePorts: FilterPlugin = {
  name: 'NodePorts',
  eventsToRegister: ['node-added', 'node-changed', 'pod-removed'],
  prepareFilter(pod) {
    const wanted = hostPortClaims(pod)
    if (wanted.length === 0) return undefined
    const ofIngresses = wanted.find((claim) =>
      INGRESS_PORTS.some((reserved) => reserved.protocol === claim.protocol && reserved.port === claim.port),
    )
    return ({ node, pods }) => {
      if (ofIngresses !== undefined && node.metadata.labels?.[INGRESS_NODE_LABEL] === 'true')
        return {
          reason: 'host port taken',
          detail: `host port ${formatHostPort(ofIngresses)} is for Ingresses, since the node is an entrance`,
        }
      for (const other of pods.values()) {
        const taken = wanted.find((claim) => claims(other).some((held) => portsClash(claim, held)))
        if (taken !== undefined)
          return {
            reason: 'host port taken',
            detail: `host port ${formatHostPort(taken)} is that of pod ${other.metadata.namespace}/${other.metadata.name}`,
          }
      }
      return undefined
    }
  },
}
