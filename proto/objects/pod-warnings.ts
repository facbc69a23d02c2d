/**
 * What is accepted of a pod or a pod template and is probably not meant, in Kubernetes' words: items of keyed lists
 * that hide or repeat others.
 * https://kubernetes.io/blog/2020/09/03/warnings/
 */
import type { Container, ContainerPort, EnvVar, PodSpec, PodTemplateSpec } from '../gen/types.ts'
import { entryPath, fieldPath } from '../base/path.ts'

/** Of the pods of a template, which may be missing where it is not validated yet. */
export function templateWarnings(template: PodTemplateSpec | undefined, path: string): string[] {
  return template === undefined ? [] : podWarnings(template.spec, fieldPath(path, 'spec'))
}

/** One sentence for each. */
export function podWarnings(spec: PodSpec, path: string): string[] {
  const { hostAliases = [], imagePullSecrets = [] } = spec
  return [
    ...repeated(
      hostAliases.map(({ ip }) => ip),
      fieldPath(path, 'hostAliases'),
      'ip',
    ),
    ...repeated(
      imagePullSecrets.map(({ name }) => name),
      fieldPath(path, 'imagePullSecrets'),
      'name',
    ),
    ...containersOf(spec, path).flatMap(({ at, env = [] }) => hidden(env, fieldPath(at, 'env'))),
    ...sharedPorts(spec, path),
  ]
}

type Placed = Pick<Container, 'env' | 'ports'> & { readonly at: string }

function containersOf({ initContainers = [], containers, ephemeralContainers = [] }: PodSpec, path: string): Placed[] {
  return Object.entries({ initContainers, containers, ephemeralContainers }).flatMap(([field, list]) =>
    list.map(({ env, ports }, index) => ({ env, ports, at: entryPath(fieldPath(path, field), index) })),
  )
}

function repeated(values: readonly (string | undefined)[], path: string, field: string): string[] {
  const seen = new Set<string>()
  return values.flatMap((value = '', index) => {
    if (seen.has(value))
      return [`${fieldPath(entryPath(path, index), field)}: duplicate ${field} ${JSON.stringify(value)}`]
    seen.add(value)
    return []
  })
}

/** A variable that comes again may use the one before it: `$(PATH):/more` hides nothing. */
function hidden(env: readonly EnvVar[], path: string): string[] {
  const seen = new Set<string>()
  return env.flatMap(({ name, value = '', valueFrom }, index) => {
    const first = !seen.has(name)
    seen.add(name)
    const reference = `$(${name})`
    if (first || (valueFrom === undefined && value !== reference && value.includes(reference))) return []
    return [
      `${entryPath(path, index)}: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`,
    ]
  })
}

/** Definitions of one port that others are compared with, and warnings about them, at most: nobody reads more. */
const MOST_SHARED_PORTS = 100

/**
 * One port of the pod, in one container or in several. Whoever writes the pod says how many there are: neither the time
 * taken nor what is told grows with the square of that.
 */
function sharedPorts(spec: PodSpec, path: string): string[] {
  const seen = new Map<string, { readonly at: string; readonly port: ContainerPort }[]>()
  const told: string[] = []
  for (const { at: container, ports = [] } of containersOf(spec, path)) {
    for (const [index, port] of ports.entries()) {
      const at = entryPath(fieldPath(container, 'ports'), index)
      const key = `${port.containerPort}/${port.protocol}`
      const others = seen.get(key) ?? []
      for (const other of others) {
        const relation = relationOf(port, other.port)
        if (relation !== undefined) told.push(`${at}: ${relation} port definition with ${other.at}`)
        if (told.length === MOST_SHARED_PORTS) return told
      }
      if (others.length < MOST_SHARED_PORTS) others.push({ at, port })
      seen.set(key, others)
    }
  }
  return told
}

function relationOf(
  { hostPort = 0, hostIP = '' }: ContainerPort,
  { hostPort: port = 0, hostIP: address = '' }: ContainerPort,
): string | undefined {
  if (hostPort === port && hostIP === address) return 'duplicate'
  if (hostPort === 0 || port === 0) return 'overlapping'
  return hostPort === port && (hostIP === '') !== (address === '') ? 'dangerously ambiguous' : undefined
}
