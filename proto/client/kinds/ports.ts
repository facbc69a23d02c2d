/** The ports that containers say they listen on. */
import type { PodSpec } from '../../gen/types.ts'
import type { ExposedPort } from './kind-record.ts'

export function containerPorts({ containers }: PodSpec): ExposedPort[] {
  return containers.flatMap(({ ports = [] }) =>
    ports.map(({ containerPort, protocol, name = '' }) => ({ port: containerPort, protocol: protocol ?? 'TCP', name })),
  )
}
