/** What the flags of `gantry create service` and `gantry expose` make of a Service. */
import type { JsonObject, JsonValue } from '../../proto/gen/types.ts'
import { UsageError } from '../../proto/client/failures.ts'

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'

export const portFlag = {
  tcp: {
    type: 'list',
    value: 'port[:target]',
    commas: true,
    help: 'a port, and the port or port name of its pods where that is another; may be repeated',
  },
} as const

/** A number, or text that the server takes for a port's name. */
export function portValue(text: string): JsonValue {
  return /^\d+$/.test(text) ? Number(text) : text
}

/** "80" or "80:8080"; the port is named after it, since a Service with several needs names. */
function parsePort(text: string): JsonObject & { port: number } {
  const [, port = '', target] = /^(\d+)(?::([^:]+))?$/.exec(text) ?? []
  if (port === '')
    throw new UsageError(`--tcp="${text}" is not PORT or PORT:TARGET`, 'such as 80 or 80:8080 or 80:http')
  return {
    name: target === undefined ? port : `${port}-${target}`,
    protocol: 'TCP',
    port: Number(port),
    targetPort: portValue(target ?? port),
  }
}

export interface ServiceFlags {
  readonly tcp: readonly string[]
  readonly clusterIP?: string | undefined
  readonly nodePort?: number | undefined
  readonly externalName?: string | undefined
}

/** A Service whose pods are those with the label app=NAME. */
export function serviceOf(
  type: ServiceType,
  name: string,
  { tcp, clusterIP, nodePort, externalName }: ServiceFlags,
): JsonObject {
  const ports = tcp.map(parsePort)
  if (type === 'ExternalName' && externalName === undefined)
    throw new UsageError('which name does it stand for? Say --external-name=HOST')
  if (ports.length === 0 && type !== 'ExternalName' && clusterIP !== 'None')
    throw new UsageError('which port? Say --tcp=PORT or --tcp=PORT:TARGET')
  if (nodePort !== undefined && ports.length !== 1)
    throw new UsageError('--node-port goes with one port', 'write a manifest for more')
  const labels = { app: name }
  return {
    metadata: { labels },
    spec: {
      type,
      selector: labels,
      ports: ports.map((port) => ({ ...port, ...(nodePort === undefined ? {} : { nodePort }) })),
      ...(clusterIP === undefined ? {} : { clusterIP }),
      ...(externalName === undefined ? {} : { externalName }),
    },
  }
}
