/**
 * The leases of nodes, for clients that look at them for a node's sign of life: made on the spot from the Node, whose
 * session is what keeps it alive. Nothing is stored, and nothing is told of them to those who watch.
 * https://kubernetes.io/docs/concepts/architecture/leases/#node-heart-beats
 */
import { encodeResource } from '../../proto/codec/wire.ts'
import { formatMicroTime, parseTime } from '../../proto/base/time.ts'
import type { Clock } from '../../proto/base/clock.ts'
import { findCondition } from '../../proto/objects/conditions.ts'
import type { Kind, Lease, Node } from '../../proto/gen/types.ts'
import { NODE_LEASES_NAMESPACE } from '../objects/identity.ts'
import { LOST_TIMEOUT_MS } from '../nodehealth/liveness.ts'
import type { CachedObject, Informer } from '../informer/contract.ts'
import type { Selection } from './selection.ts'

export interface NodeLeasesParts {
  readonly informer: Pick<Informer, 'lister'>
  readonly clock: Clock
}

export class NodeLeases {
  readonly #parts: NodeLeasesParts

  constructor(parts: NodeLeasesParts) {
    this.#parts = parts
  }

  /** The lease of that name, if there is such a node. A stored lease of a node's name is shown instead. */
  get(kind: Kind, namespace: string, name: string): CachedObject | undefined {
    if (kind !== 'Lease' || namespace !== NODE_LEASES_NAMESPACE || this.#isStored(name)) return undefined
    const node = this.#parts.informer.lister('Node').get('', name)
    return node === undefined ? undefined : this.#leaseOf(node)
  }

  /** Those that a list of leases shows behind what is stored. */
  list(selection: Selection): readonly CachedObject[] {
    const { kind, namespace } = selection
    if (kind !== 'Lease' || (namespace !== undefined && namespace !== NODE_LEASES_NAMESPACE)) return []
    const nodes = this.#parts.informer.lister('Node').list()
    return nodes
      .filter(({ metadata: { name } }) => !this.#isStored(name))
      .map((node) => this.#leaseOf(node))
      .filter(({ object }) => selection.matches(object))
  }

  #isStored(name: string): boolean {
    return this.#parts.informer.lister('Lease').get(NODE_LEASES_NAMESPACE, name) !== undefined
  }

  /** A node that is Ready was heard from within the time after which it would be lost. */
  #leaseOf({ metadata, status }: Node): CachedObject {
    const { name, uid, creationTimestamp, resourceVersion } = metadata
    const ready = findCondition(status.conditions, 'Ready')
    const last = ready?.lastHeartbeatTime ?? creationTimestamp
    const heard = ready?.status === 'True' || last === undefined ? this.#parts.clock.now() : parseTime(last)
    const object: Lease = {
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
    return { object, bytes: encodeResource(object), revision: Number(resourceVersion) }
  }
}
