/**
 * Ports to be forwarded, as they are typed: "80", "8080:80", ":80", "8080:http".
 * https://kubernetes.io/docs/reference/kubectl/generated/kubectl_port-forward/
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Pod, Service } from '../../proto/gen/types.ts'
import { UsageError } from '../../proto/client/failures.ts'

export interface PortSpec {
  /** 0: any that is free. Undefined: the same as the remote one's number. */
  readonly local: number | undefined
  /** Number or name. */
  readonly remote: number | string
}

/** A port of a pod, and where it is to be had here. */
export interface ForwardedPort {
  readonly local: number
  readonly remote: number
}

const NAME = /^(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/

export function parsePorts(texts: readonly string[]): PortSpec[] {
  return texts.map((text) => {
    const [first, second, ...more] = text.split(':')
    if (more.length > 0) throw new UsageError(`"${text}" is not [LOCAL:]REMOTE`)
    if (/\/udp$/i.test(text)) throw new UsageError(`"${text}": only TCP is forwarded`)
    if (second === undefined) return { local: undefined, remote: remotePort(first!, text) }
    return { local: first === '' ? 0 : number(first!, text, 0), remote: remotePort(second, text) }
  })
}

function remotePort(text: string, whole: string): number | string {
  return /^\d+$/.test(text) ? number(text, whole, 1) : NAME.test(text) ? text : number(text, whole, 1)
}

function number(text: string, whole: string, least: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (!(value >= least && value <= 65_535))
    throw new UsageError(
      `"${text}" in "${whole}" is no port`,
      "a port is a number from 1 to 65535, or the name of a container's port",
    )
  return value
}

/** Of a pod itself: names are those of its containers' ports. */
export function portsOfPod(specs: readonly PortSpec[], pod: Pod): ForwardedPort[] {
  return specs.map(({ local, remote }) => {
    const port = typeof remote === 'number' ? remote : containerPort(pod, remote)
    return { local: local ?? port, remote: port }
  })
}

/** Of a Service: what is named is its own port, by number or name; reached is the pod's port that it stands for. */
export function portsOfService(specs: readonly PortSpec[], service: Service, pod: Pod): ForwardedPort[] {
  const { name } = service.metadata
  return specs.map(({ local, remote }) => {
    const ports = service.spec.ports ?? []
    const found = ports.find((port) => (typeof remote === 'number' ? port.port : port.name) === remote)
    if (found === undefined) {
      const has = ports
        .map((port) => `${port.port}${port.name === undefined || port.name === '' ? '' : ` (${port.name})`}`)
        .join(', ')
      throw new GantryError(
        'InvalidArgument',
        `service "${name}" has no port ${typeof remote === 'number' ? remote : `"${remote}"`}`,
        { details: [{ remedy: has === '' ? 'it has none at all' : `it has ${has}` }] },
      )
    }
    if (found.protocol !== 'TCP')
      throw new GantryError(
        'Unsupported',
        `port ${found.port} of service "${name}" is ${found.protocol}; only TCP is forwarded`,
      )
    const target = found.targetPort ?? found.port
    const headless = service.spec.clusterIP === 'None'
    return {
      local: local ?? found.port,
      remote:
        typeof target === 'string'
          ? containerPort(pod, target)
          : headless && found.targetPort === undefined
            ? found.port
            : target,
    }
  })
}

function containerPort(pod: Pod, name: string): number {
  const ports = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].flatMap(
    (container) => container.ports ?? [],
  )
  const found = ports.find((port) => port.name === name)
  if (found !== undefined) return found.containerPort
  const has = ports.flatMap((port) => (port.name === undefined || port.name === '' ? [] : [port.name]))
  throw new GantryError('InvalidArgument', `pod "${pod.metadata.name}" has no port named "${name}"`, {
    details: [
      { remedy: has.length === 0 ? 'none of its ports has a name: give the number' : `it has ${has.join(', ')}` },
    ],
  })
}
