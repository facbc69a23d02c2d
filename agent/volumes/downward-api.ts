/**
 * Values that a pod's containers may read of the pod itself.
 * https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
 */
import { allContainers } from '../../proto/objects/containers.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { quantityMillis } from '../../proto/base/quantity.ts'
import { serviceAccountName } from '../../proto/objects/pod-references.ts'
import type { ObjectFieldSelector, Pod, ResourceFieldSelector } from '../../proto/gen/types.ts'

/** What is known about where the pod runs. */
export interface DownwardApiContext {
  readonly nodeName: string
  readonly hostAddress: string
  /** One per family, the preferred first; none before the pod has its network. */
  readonly podAddresses: readonly string[]
  /** Of the node: what a container without a limit may use. */
  readonly allocatable: Readonly<Record<string, string>>
}

/** The value of a field, as text; a map as lines of key="value". InvalidArgument: there is no such field. */
export function fieldValue(
  pod: Pod,
  { fieldPath }: Pick<ObjectFieldSelector, 'fieldPath'>,
  place: DownwardApiContext,
): string {
  const { metadata } = pod
  const entry = /^metadata\.(labels|annotations)(?:\['(.*)'\])?$/.exec(fieldPath)
  if (entry !== null) {
    const map = metadata[entry[1] as 'labels' | 'annotations'] ?? {}
    return entry[2] === undefined ? mapText(map) : (map[entry[2]] ?? '')
  }
  switch (fieldPath) {
    case 'metadata.name':
      return metadata.name
    case 'metadata.namespace':
      return metadata.namespace
    case 'metadata.uid':
      return metadata.uid
    case 'spec.nodeName':
      return place.nodeName
    case 'spec.serviceAccountName':
      return serviceAccountName(pod.spec)
    case 'status.hostIP':
    case 'status.hostIPs':
      return place.hostAddress
    case 'status.podIP':
      return place.podAddresses[0] ?? ''
    case 'status.podIPs':
      return place.podAddresses.join(',')
    default:
      throw new GantryError('InvalidArgument', `fieldPath "${fieldPath}" names no field that a container may read`, {
        details: [{ field: 'fieldPath', value: fieldPath }],
      })
  }
}

function mapText(map: Readonly<Record<string, string>>): string {
  return Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}\n`)
    .join('')
}

/**
 * A limit or request of a container in units of the divisor, rounded up. A container without the limit may use all that
 * the node has.
 */
export function resourceValue(
  pod: Pod,
  selector: ResourceFieldSelector,
  ownContainer: string | undefined,
  place: DownwardApiContext,
): string {
  const name = selector.containerName ?? ownContainer
  const container = allContainers(pod).find((other) => other.name === name)
  const [, which, resource] = /^(limits|requests)\.(.+)$/.exec(selector.resource) ?? []
  if (container === undefined || resource === undefined) {
    throw new GantryError(
      'InvalidArgument',
      `resourceFieldRef: container "${name ?? ''}" has no "${selector.resource}"`,
      { details: [{ field: 'resource', value: selector.resource }] },
    )
  }
  const { limits, requests } = container.resources
  const text =
    which === 'requests'
      ? (requests?.[resource] ?? limits?.[resource] ?? '0')
      : (limits?.[resource] ?? place.allocatable[resource] ?? '0')
  const divisor =
    selector.divisor === undefined || quantityMillis(selector.divisor) === 0 ? 1000 : quantityMillis(selector.divisor)
  return String(Math.ceil(quantityMillis(text) / divisor))
}
