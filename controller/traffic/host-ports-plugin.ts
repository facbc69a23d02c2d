/** Refuses pods, and templates of pods, that want a port of their node that the cluster or its administrators need. */
import { GantryError } from '../../proto/base/errors.ts'
import { formatHostPort, hostPortClaims, type HostPortClaim } from '../../proto/objects/host-ports.ts'
import { ownerOfHostPort, type ReservedPort } from '../../proto/objects/reserved-ports.ts'
import { sameJson } from '../../proto/base/json.ts'
import type { PodSpec } from '../../proto/gen/types.ts'
import { describeNew, findPodSpec, mayHavePodSpec, podSpecOf } from '../objects/pod-specs.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../api/contract.ts'

export class HostPortsPlugin implements AdmissionPlugin {
  readonly name = 'HostPorts'
  readonly admitsControlPlane = true
  /** Beside those that are always reserved. */
  readonly #reserved: readonly ReservedPort[]

  constructor(reserved: readonly ReservedPort[]) {
    this.#reserved = reserved
  }

  /**
   * What pods are made of is looked at where users write it, so that they are told at once; a pod wherever it comes
   * from.
   */
  handles({ operation, kind, subresource, context: { user } }: AdmissionRequestInfo): boolean {
    if (subresource !== '') return false
    return kind === 'Pod'
      ? operation === 'CREATE'
      : user !== undefined && (operation === 'CREATE' || operation === 'UPDATE') && mayHavePodSpec(kind)
  }

  /** Forbidden. */
  validate({ object, oldObject }: AdmissionAttributes): void {
    const found = object === undefined ? undefined : findPodSpec(object)
    if (object === undefined || found === undefined) return
    const { spec, path } = found
    if (oldObject !== undefined && sameJson(podSpecOf(oldObject), spec)) return
    for (const claim of hostPortClaims({ spec })) {
      const owner = ownerOfHostPort(claim, this.#reserved)
      if (owner === undefined) continue
      const value = formatHostPort(claim)
      const remedy =
        spec.hostNetwork === true
          ? "give the container another port, or take it out of the node's network"
          : 'give another hostPort, or use a Service'
      throw new GantryError(
        'Forbidden',
        `${describeNew(object)} is forbidden: the port ${value} of nodes is reserved for ${owner} (${remedy})`,
        { details: [{ field: fieldOf(spec, path, claim), value, message: `is reserved for ${owner}`, remedy }] },
      )
    }
  }
}

/** Where a spec asks for the port. */
function fieldOf(spec: PodSpec, path: string, { port, protocol, address }: HostPortClaim): string {
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [at, { ports = [] }] of (spec[list] ?? []).entries()) {
      const index = ports.findIndex(
        ({ hostPort = 0, containerPort, hostIP = '', ...one }) =>
          (hostPort === 0 ? containerPort : hostPort) === port && one.protocol === protocol && hostIP === address,
      )
      if (index !== -1)
        return `${path}.${list}[${at}].ports[${index}].${ports[index]!.hostPort === undefined ? 'containerPort' : 'hostPort'}`
    }
  }
  return path
}
