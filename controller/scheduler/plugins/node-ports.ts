/** Two pods with one host port do not share a node, and none has that of Ingresses on an ingress node. */
import { formatHostPort, hostPortClaims, portsClash, type HostPortClaim } from '../../../proto/objects/host-ports.ts'
import { INGRESS_NODE_LABEL } from '../../../proto/objects/ingress/classes.ts'
import { INGRESS_PORTS } from '../../../proto/objects/reserved-ports.ts'
import type { FilterPlugin } from '../framework.ts'

export const nodePorts: FilterPlugin = {
  name: 'NodePorts',
  eventsToRegister: ['node-added', 'node-changed', 'pod-removed'],
  sign(pod) {
    const wanted = hostPortClaims(pod)
    return wanted.length === 0 ? '' : JSON.stringify(wanted)
  },
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
      let found: { readonly claim: HostPortClaim; readonly pod: string } | undefined
      for (const { hostPorts, namespace, name } of pods) {
        const claim = wanted.find((one) => hostPorts.some((held) => portsClash(one, held)))
        // Of several the first by name is told, in whatever order they came.
        const pod = `${namespace}/${name}`
        if (claim !== undefined && (found === undefined || pod < found.pod)) found = { claim, pod }
      }
      return (
        found && {
          reason: 'host port taken',
          detail: `host port ${formatHostPort(found.claim)} is that of pod ${found.pod}`,
        }
      )
    }
  },
}
