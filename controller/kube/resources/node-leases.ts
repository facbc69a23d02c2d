/**
 * The leases of nodes, for clients that look at them for a node's sign of life: made on the spot from the Node, whose
 * session is what keeps it alive. Nothing is stored, and nothing is told of them to those who watch.
 * https://kubernetes.io/docs/concepts/architecture/leases/#node-heart-beats
 */
import { formatMicroTime, parseTime } from '../../../proto/base/time.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { Lease, Node } from '../../../proto/gen/types.ts'
import { NODE_LEASES_NAMESPACE } from '../../api/identity.ts'
import { LOST_TIMEOUT_MS } from '../../nodehealth/liveness.ts'
import type { Informer } from '../../informer/contract.ts'
import type { Handle } from '../contract.ts'
import { encodableResource } from '../encodable-object.ts'
import { selectionOf } from './list-options.ts'

/**
 * The verb get, or list, of stored kinds, with the nodes' leases where those are asked for. A stored lease of a node's
 * name is shown instead.
 */
export function withNodeLeases(
  read: Handle,
  { informer, clock }: { readonly informer: Pick<Informer, 'lister'>; readonly clock: Clock },
): Handle {
  return async (request) => {
    const { resource, namespace, name, subresource } = request.target
    if (
      resource.stored !== 'Lease' ||
      subresource !== '' ||
      !(namespace === NODE_LEASES_NAMESPACE || (namespace === '' && name === ''))
    )
      return read(request)
    const stored = (node: string): boolean => informer.lister('Lease').get(NODE_LEASES_NAMESPACE, node) !== undefined
    const nodes = informer.lister('Node')
    const lease = (node: Node): Lease => leaseOf(node, clock.now())
    if (name !== '') {
      const node = stored(name) ? undefined : nodes.get('', name)
      return node === undefined ? read(request) : { is: 'object', object: encodableResource(lease(node), resource) }
    }
    const answer = await read(request)
    // A list that comes in pieces has them with its last.
    if (answer.is !== 'list' || answer.metadata.continue !== undefined) return answer
    const selection = selectionOf(request)
    const made = nodes
      .list()
      .filter((node) => !stored(node.metadata.name))
      .map(lease)
      .filter((object) => selection.matches(object))
    return { ...answer, items: [...answer.items, ...made.map((object) => encodableResource(object, resource))] }
  }
}

/** A node that is Ready was heard from within the time after which it would be lost. */
function leaseOf({ metadata: { name, uid, creationTimestamp, resourceVersion }, status }: Node, now: number): Lease {
  const ready = status.conditions?.find(({ type }) => type === 'Ready')
  const last = ready?.lastHeartbeatTime ?? creationTimestamp
  const heard = ready?.status === 'True' || last === undefined ? now : parseTime(last)
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name,
      namespace: NODE_LEASES_NAMESPACE,
      uid,
      resourceVersion,
      creationTimestamp,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid }],
    },
    spec: { holderIdentity: name, leaseDurationSeconds: LOST_TIMEOUT_MS / 1000, renewTime: formatMicroTime(heard) },
  }
}
