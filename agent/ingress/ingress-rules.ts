/** Ingresses as rules. https://kubernetes.io/docs/concepts/services-networking/ingress/ */
import { parseGatewayDuration } from '../../proto/objects/ingress/duration.ts'
import type { Ingress, IngressBackend, Service } from '../../proto/gen/types.ts'
import type { Backends } from './backends.ts'
import { coversPattern } from './hosts.ts'
import {
  MATCH_ALL,
  NO_FILTERS,
  type HostPattern,
  type RoutingRule,
  type WeightedBackend,
  type RequestFilters,
} from './proxy-model.ts'

/**
 * "false": HTTP is served beside HTTPS, although the host has a certificate. The other is that of the most used
 * controller, for manifests that exist.
 */
const REDIRECT_ANNOTATIONS = ['gantry.dev/ssl-redirect', 'nginx.ingress.kubernetes.io/ssl-redirect'] as const
/** How long pods may take to answer, such as "90s"; "0s": for ever. */
const TIMEOUT_ANNOTATION = 'gantry.dev/response-timeout'
const KNOWN_ANNOTATIONS: ReadonlySet<string> = new Set([...REDIRECT_ANNOTATIONS, TIMEOUT_ANNOTATION])
/**
 * Annotations that tell a proxy what to do. Where nobody acts on one, requests are answered otherwise than its author
 * thinks.
 */
const SETTING_ANNOTATION_PATTERN =
  /^(gantry\.dev|([a-z0-9-]+\.)*(ingress\.kubernetes\.io|haproxy\.org|haproxy-ingress\.github\.io|nginx\.org|traefik\.io))\//

export interface IngressParts {
  readonly backends: Backends
  readonly serviceOf: (key: string) => Service | undefined
  /** The proxy's port for HTTPS, where clients of HTTP are sent. */
  readonly httpsPort: number
  readonly problem: (owner: string, reason: string, message: string) => void
}

/** Rules for the port in the clear and for the one with TLS. */
export function ingressRules(
  ingress: Ingress,
  parts: IngressParts,
): { readonly http: readonly RoutingRule[]; readonly https: readonly RoutingRule[] } {
  const owner = `Ingress/${ingress.metadata.namespace}/${ingress.metadata.name}`
  const treatment = filtersOf(ingress, owner, parts)
  for (const name of ignoredAnnotations(ingress))
    parts.problem(
      owner,
      'AnnotationIgnored',
      `${name} is not acted on: the entrance knows ${[...KNOWN_ANNOTATIONS].join(', ')}; an HTTPRoute can rewrite, redirect and change headers`,
    )
  const rules = [...rulesOf(ingress, owner, treatment, parts)]
  if (!redirects(ingress)) return { http: rules, https: rules }
  const secured = (ingress.spec.tls ?? [])
    .map(({ hosts = [] }) => (hosts.length === 0 ? ['*'] : hosts.map(hostPattern)))
    .flat()
  const isSecured = (host: HostPattern): boolean => secured.some((pattern) => coversPattern(pattern, host))
  return {
    http: rules.map((rule) => (isSecured(rule.host) ? { ...rule, shares: toHttps(owner, parts) } : rule)),
    https: rules,
  }
}

function ignoredAnnotations({ metadata: { annotations = {} } }: Ingress): string[] {
  return Object.keys(annotations)
    .filter((name) => SETTING_ANNOTATION_PATTERN.test(name) && !KNOWN_ANNOTATIONS.has(name))
    .sort()
}

function toHttps(owner: string, { backends, httpsPort }: IngressParts): readonly WeightedBackend[] {
  return [{ backend: backends.redirect({ scheme: 'https', port: httpsPort, code: 308 }, NO_FILTERS, owner), weight: 1 }]
}

/** Where there are certificates, unless an annotation says otherwise. */
function redirects({ metadata: { annotations = {} }, spec }: Ingress): boolean {
  const said = REDIRECT_ANNOTATIONS.map((name) => annotations[name]).find((value) => value !== undefined)
  return (spec.tls ?? []).length > 0 && said !== 'false'
}

export function hostPattern(host: string | undefined): HostPattern {
  return (host ?? '') === '' ? '*' : host!.toLowerCase()
}

function* rulesOf(
  ingress: Ingress,
  owner: string,
  treatment: RequestFilters,
  parts: IngressParts,
): Generator<RoutingRule> {
  const { metadata, spec } = ingress
  const order = [metadata.creationTimestamp ?? '', `${metadata.namespace}/${metadata.name}`]
  const share = (backend: IngressBackend): readonly WeightedBackend[] => [
    { backend: backendOf(ingress, backend, owner, treatment, parts), weight: 1 },
  ]
  const common = { condition: MATCH_ALL, owner }
  if (spec.defaultBackend !== undefined)
    yield {
      ...common,
      host: '*',
      path: { type: 'prefix', value: '/' },
      shares: share(spec.defaultBackend),
      fallback: true,
      order,
    }
  for (const [index, { host, http }] of (spec.rules ?? []).entries()) {
    const place = String(index).padStart(6, '0')
    if (http === undefined) {
      if (spec.defaultBackend !== undefined)
        yield {
          ...common,
          host: hostPattern(host),
          path: { type: 'prefix', value: '/' },
          shares: share(spec.defaultBackend),
          fallback: false,
          order: [...order, place],
        }
      continue
    }
    for (const [at, { path = '', pathType, backend }] of http.paths.entries()) {
      const value = path === '' ? '/' : path
      yield {
        ...common,
        host: hostPattern(host),
        path: { type: pathType === 'Exact' ? 'exact' : 'prefix', value },
        shares: share(backend),
        fallback: false,
        order: [...order, place, String(at).padStart(6, '0')],
      }
    }
  }
}

/** A Service or port that is not there is answered by 503 until it is. */
function backendOf(
  ingress: Ingress,
  { service: wanted }: IngressBackend,
  owner: string,
  treatment: RequestFilters,
  { backends, serviceOf, problem }: IngressParts,
): string {
  if (wanted === undefined) return backends.answer(503, owner)
  const key = `${ingress.metadata.namespace}/${wanted.name}`
  const service = serviceOf(key)
  const { name, number } = wanted.port
  const port = service?.spec.ports?.find((candidate) =>
    number === undefined ? candidate.name === name : candidate.port === number,
  )
  if (service !== undefined && port !== undefined) return backends.service(service, port, treatment, owner)
  problem(
    owner,
    service === undefined ? 'ServiceNotFound' : 'PortNotFound',
    service === undefined ? `Service ${key} does not exist` : `Service ${key} has no port ${name ?? number}`,
  )
  return backends.answer(503, owner)
}

function filtersOf({ metadata }: Ingress, owner: string, { problem }: IngressParts): RequestFilters {
  const text = metadata.annotations?.[TIMEOUT_ANNOTATION]
  if (text === undefined) return NO_FILTERS
  const timeout = parseGatewayDuration(text)
  if (timeout === undefined)
    problem(owner, 'InvalidAnnotation', `${TIMEOUT_ANNOTATION}: "${text}" is not a duration: write it as 90s or 5m`)
  return { ...NO_FILTERS, timeout }
}
