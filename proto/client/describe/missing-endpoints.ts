/**
 * Why a port of a Service has no endpoints, or not all that its selector suggests: the first thing asked of a Service
 * that nobody answers for. Pure.
 */
import { nearest } from '../../base/nearest.ts'
import type { EndpointSlice, Pod, Service, ServicePort } from '../../gen/types.ts'
import { serviceSelector } from '../../objects/columns/service.ts'
import { lastingContainers } from '../../objects/containers.ts'
import { isTerminal, isReady } from '../../objects/pod.ts'
import { isDeleting } from '../../objects/deletion.ts'

/** As many pods as are named for each reason. */
const NAMES = 3

/**
 * `port`: undefined for a Service that has none. Undefined where every pod that is selected takes traffic. `pods` are
 * those that the selector matches, `similar` those with labels of the same keys.
 */
export function missingEndpointReasons(
  service: Service,
  port: ServicePort | undefined,
  slices: readonly EndpointSlice[],
  pods: readonly Pod[],
  similar: readonly Pod[],
): string | undefined {
  const {
    metadata: { name },
    spec: { selector = {} },
  } = service
  if (Object.keys(selector).length === 0)
    return slices.length > 0
      ? undefined
      : `without a selector it has the endpoints of EndpointSlices with the label kubernetes.io/service-name=${name}, or of Endpoints of its name, and there is none`
  if (pods.length === 0)
    return slices.some(({ endpoints = [] }) => endpoints.length > 0)
      ? undefined
      : `no pod has the labels ${serviceSelector(service)}${hint(selector, similar)}`
  const reasons = new Map<string, string[]>()
  for (const pod of pods) {
    const reason = reasonOf(service, port, pod)
    if (reason !== undefined) reasons.set(reason, [...(reasons.get(reason) ?? []), pod.metadata.name])
  }
  return reasons.size === 0
    ? undefined
    : [...reasons]
        .map(([reason, names]) => `${names.length} of ${counted(pods.length)} ${reason} (${named(names)})`)
        .join('; ')
}

function reasonOf(
  { spec: { publishNotReadyAddresses } }: Service,
  port: ServicePort | undefined,
  pod: Pod,
): string | undefined {
  if (isTerminal(pod)) return 'ended'
  if (isDeleting(pod)) return 'on the way out'
  const { targetPort, protocol } = port ?? {}
  if (typeof targetPort === 'string') {
    const names = lastingContainers(pod).flatMap(({ ports = [] }) =>
      ports.filter((own) => (own.protocol ?? 'TCP') === protocol).flatMap((own) => own.name ?? []),
    )
    if (!names.includes(targetPort)) {
      const meant = nearest(targetPort, names)
      return `without a ${protocol} port named "${targetPort}"${meant !== undefined ? `, did you mean "${meant}"?` : names.length === 0 ? ', none of their ports has a name' : `, the names are ${names.join(', ')}`}`
    }
  }
  if ((pod.status.podIP ?? '') === '') return 'not running yet'
  return isReady(pod) || publishNotReadyAddresses === true ? undefined : 'not ready'
}

/** Labels with the same keys, where they look like what was meant. */
function hint(selector: Readonly<Record<string, string>>, similar: readonly Pod[]): string {
  const known = similar.map(({ metadata: { labels = {} } }) =>
    Object.keys(selector)
      .sort()
      .map((key) => `${key}=${labels[key] ?? ''}`)
      .join(','),
  )
  const meant = nearest(
    Object.entries(selector)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    new Set(known),
  )
  return meant === undefined
    ? ''
    : `; ${counted(known.filter((labels) => labels === meant).length)} ${known.filter((labels) => labels === meant).length === 1 ? 'has' : 'have'} ${meant}`
}

function counted(pods: number): string {
  return `${pods} ${pods === 1 ? 'pod' : 'pods'}`
}

function named(names: readonly string[]): string {
  return names.length <= NAMES
    ? names.join(', ')
    : `${names.slice(0, NAMES).join(', ')} and ${names.length - NAMES} more`
}
