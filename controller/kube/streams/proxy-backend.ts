/** Where a proxied request goes: a port of a pod, chosen for each request anew. */
import { parseProxyReference, type ProxyReference } from '../../../proto/objects/proxy-reference.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Pod, PortForwardStart, Service } from '../../../proto/gen/types.ts'
import type { Backends } from '../../requests/backends.ts'
import type { Target } from '../contract.ts'
import { HttpError } from '../status.ts'
import { badRequest, refusal, runningPod } from './pod-target.ts'

export interface BackendParts {
  readonly backends: Pick<Backends, 'reads' | 'readyPods'>
  readonly random: Random
}

export interface Backend {
  readonly start: PortForwardStart
  readonly tls: boolean
}

/** The pod itself: its first port, if none is named. NotFound; 400. */
export async function podBackend({ backends: { reads } }: BackendParts, target: Target): Promise<Backend> {
  const reference = referenceOf(target)
  const pod = await runningPod(reads, { ...target, name: reference.name })
  const { namespace, name, uid } = pod.metadata
  return { tls: reference.tls, start: { namespace, pod: name, uid, port: podPort(pod, reference.port) } }
}

/** One of a Service's ready pods, by chance. NotFound; 400; 503 while there is none. */
export async function serviceBackend(
  { backends: { reads, readyPods }, random }: BackendParts,
  target: Target,
): Promise<Backend> {
  const reference = referenceOf(target)
  const { namespace } = target
  const { object: service } = await reads.get('Service', namespace, reference.name)
  const wanted = servicePort(service, reference.port)
  const starts = readyPods(namespace, reference.name, wanted)
  if (starts.length === 0)
    throw new HttpError(
      503,
      'ServiceUnavailable',
      `no endpoints available for service "${reference.name}": the proxy reaches its ready pods, and there is none${(wanted ?? '') === '' ? '' : ` for port ${wanted}`}`,
      'Unavailable',
    )
  return { tls: reference.tls, start: starts[Math.floor(random.next() * starts.length)]! }
}

function referenceOf({ name }: Target): ProxyReference {
  try {
    return parseProxyReference(name)
  } catch (thrown) {
    throw refusal(thrown)
  }
}

/** The name of a Service's port, by which its slices know it. */
function servicePort({ metadata: { name }, spec: { ports = [] } }: Service, asked: string): string | undefined {
  const has = ports
    .map((port) => (port.name === undefined ? String(port.port) : `${port.port} (${port.name})`))
    .join(', ')
  if (asked === '' && ports.length !== 1)
    throw badRequest(
      ports.length === 0
        ? `service "${name}" has no ports`
        : `service "${name}" has several ports: say which, as ${name}:PORT; it has ${has}`,
    )
  const found = asked === '' ? ports[0] : ports.find((port) => String(port.port) === asked || port.name === asked)
  if (found === undefined)
    throw badRequest(`service "${name}" has no port ${asked}; it has ${has === '' ? 'none' : has}`)
  if (found.protocol !== 'TCP')
    throw badRequest(`port ${found.port} of service "${name}" is ${found.protocol}: only TCP carries HTTP`)
  return found.name
}

function podPort({ metadata: { name }, spec }: Pod, asked: string): number {
  const ports = spec.containers.flatMap((container) => container.ports ?? [])
  if (asked === '') return ports[0]?.containerPort ?? 80
  if (/^\d+$/.test(asked)) {
    if (Number(asked) < 1 || Number(asked) > 65_535) throw badRequest(`${asked} is no port: give one from 1 to 65535`)
    return Number(asked)
  }
  const named = ports.find((port) => port.name === asked)
  if (named === undefined) throw badRequest(`pod "${name}" has no port named "${asked}"`)
  return named.containerPort
}
