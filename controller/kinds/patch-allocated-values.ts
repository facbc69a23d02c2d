import { sameJson } from '../../proto/base/json.ts'
import { hasHealthCheckPort, isExternal } from '../../proto/validation/service.ts'
import type { ServicePort, ServiceSpec } from '../../proto/gen/types.ts'

/** Changes `next` in place, before defaults are filled in and the whole is validated. */
export function patchAllocatedValues(next: ServiceSpec, previous: ServiceSpec): void {
  keepAddresses(next, previous)
  keepNodePorts(next, previous)
  if (hasHealthCheckPort(next) && hasHealthCheckPort(previous) && isUnset(next.healthCheckNodePort))
    next.healthCheckNodePort = previous.healthCheckNodePort
  dropUnneeded(next, previous)
}

function isUnset(value: string | number | readonly unknown[] | undefined): boolean {
  return value === undefined || value === '' || value === 0 || (Array.isArray(value) && value.length === 0)
}

function keepAddresses(next: ServiceSpec, previous: ServiceSpec): void {
  if (next.type === 'ExternalName' || previous.type === 'ExternalName') return
  if (isUnset(next.clusterIP) && isUnset(next.clusterIPs)) next.clusterIP = previous.clusterIP
  if (next.clusterIP === previous.clusterIP && isUnset(next.clusterIPs)) next.clusterIPs = previous.clusterIPs
  else if (next.clusterIP !== previous.clusterIP && sameJson(next.clusterIPs, previous.clusterIPs))
    next.clusterIPs = isUnset(next.clusterIP) ? undefined : [next.clusterIP!]
  if (isUnset(next.ipFamilies)) next.ipFamilies = previous.ipFamilies
  next.ipFamilyPolicy ??= previous.ipFamilyPolicy
  if (next.ipFamilyPolicy !== 'SingleStack') return
  // The second family is given up: only the first of what was given for both stays.
  if (sameJson(next.clusterIPs, previous.clusterIPs)) next.clusterIPs = next.clusterIPs?.slice(0, 1)
  if (sameJson(next.ipFamilies, previous.ipFamilies)) next.ipFamilies = next.ipFamilies?.slice(0, 1)
}

function mayHaveNodePorts({ type }: ServiceSpec): boolean {
  return type === 'NodePort' || type === 'LoadBalancer'
}

const samePort = (one: ServicePort, other: ServicePort): boolean =>
  one.port === other.port && (one.protocol ?? 'TCP') === (other.protocol ?? 'TCP')

function keepNodePorts(next: ServiceSpec, previous: ServiceSpec): void {
  if (!mayHaveNodePorts(next) || !mayHaveNodePorts(previous)) return
  const said = new Set(next.ports?.map(({ nodePort }) => nodePort))
  for (const port of next.ports ?? []) {
    const before = previous.ports?.find((other) => samePort(port, other))?.nodePort
    if (isUnset(port.nodePort) && !isUnset(before) && !said.has(before)) port.nodePort = before
  }
}

function dropUnneeded(next: ServiceSpec, previous: ServiceSpec): void {
  const drop = <F extends keyof ServiceSpec>(unneeded: boolean, ...fields: F[]): void => {
    for (const field of unneeded ? fields : []) if (sameJson(next[field], previous[field])) delete next[field]
  }
  drop(
    next.type === 'ExternalName' && previous.type !== 'ExternalName',
    'clusterIP',
    'clusterIPs',
    'ipFamilies',
    'ipFamilyPolicy',
  )
  drop(previous.type === 'ExternalName' && next.type !== 'ExternalName', 'externalName')
  drop(
    previous.type === 'LoadBalancer' && next.type !== 'LoadBalancer',
    'allocateLoadBalancerNodePorts',
    'loadBalancerClass',
  )
  drop(!isExternal(next), 'externalTrafficPolicy')
  drop(!hasHealthCheckPort(next), 'healthCheckNodePort')
  drop(next.sessionAffinity !== 'ClientIP', 'sessionAffinityConfig')
  if (mayHaveNodePorts(next) || !mayHaveNodePorts(previous)) return
  for (const port of next.ports ?? []) {
    if (previous.ports?.some((other) => samePort(port, other) && port.nodePort === other.nodePort) === true)
      delete port.nodePort
  }
}
