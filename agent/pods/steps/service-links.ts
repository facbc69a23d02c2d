/**
 * Environment variables by which a container finds Services. Pure.
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
import { isIPv6 } from 'node:net'
import type { Pod, Service } from '../../../proto/gen/types.ts'
import { API_SERVICE } from '../../network/services/service-plan.ts'

/**
 * Of the Services that have an address: those of the pod's namespace, unless it does not want them
 * (enableServiceLinks), and default/kubernetes.
 */
export function serviceEnvironment(
  services: Iterable<Service>,
  { metadata: { namespace }, spec: { enableServiceLinks = true } }: Pod,
): Map<string, string> {
  const chosen = new Map<string, Service>()
  for (const service of services) {
    const {
      metadata,
      spec: { clusterIP = '', type },
    } = service
    if (clusterIP === '' || clusterIP === 'None' || type === 'ExternalName') continue
    const isApi = metadata.namespace === API_SERVICE.namespace && metadata.name === API_SERVICE.name
    // A Service "kubernetes" of the pod's own namespace goes before.
    if (enableServiceLinks && metadata.namespace === namespace) chosen.set(metadata.name, service)
    else if (isApi && !chosen.has(API_SERVICE.name)) chosen.set(API_SERVICE.name, service)
  }
  const variables = new Map<string, string>()
  for (const name of [...chosen.keys()].sort())
    for (const [key, value] of variablesOf(chosen.get(name)!)) variables.set(key, value)
  return variables
}

function variablesOf({ metadata, spec: { clusterIP = '', ports = [] } }: Service): [string, string][] {
  const prefix = variableName(metadata.name)
  const urlOf = (port: number, protocol: string): string =>
    `${protocol.toLowerCase()}://${isIPv6(clusterIP) ? `[${clusterIP}]` : clusterIP}:${port}`
  const [first] = ports
  if (first === undefined) return []
  return [
    [`${prefix}_SERVICE_HOST`, clusterIP],
    [`${prefix}_SERVICE_PORT`, String(first.port)],
    ...ports.flatMap(({ name = '', port }): [string, string][] =>
      name === '' ? [] : [[`${prefix}_SERVICE_PORT_${variableName(name)}`, String(port)]],
    ),
    [`${prefix}_PORT`, urlOf(first.port, first.protocol)],
    ...ports.flatMap(({ port, protocol }): [string, string][] => {
      const own = `${prefix}_PORT_${port}_${protocol}`
      return [
        [own, urlOf(port, protocol)],
        [`${own}_PROTO`, protocol.toLowerCase()],
        [`${own}_PORT`, String(port)],
        [`${own}_ADDR`, clusterIP],
      ]
    }),
  ]
}

function variableName(name: string): string {
  return name.toUpperCase().replaceAll('-', '_')
}
