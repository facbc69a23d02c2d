/** HTTPRoutes as rules. https://gateway-api.sigs.k8s.io/reference/spec/#httproute */
import { parseGatewayDuration } from '../../proto/objects/ingress/duration.ts'
import { backendService } from '../../proto/objects/ingress/references.ts'
import type {
  HTTPBackendRef,
  HTTPPathModifier,
  HTTPRoute,
  HTTPRouteFilter,
  HTTPRouteMatch,
  HTTPRouteRule,
  HTTPRouteTimeouts,
  ReferenceGrant,
  Service,
} from '../../proto/gen/types.ts'
import type { Backends } from './backends.ts'
import {
  MATCH_ALL,
  NO_FILTERS,
  type RequestMatch,
  type HostPattern,
  type PathChange,
  type RoutingRule,
  type WeightedBackend,
  type RequestFilters,
} from './proxy-model.ts'
import { normalPrefix } from './routing.ts'

export interface RouteParts {
  readonly backends: Backends
  readonly serviceOf: (key: string) => Service | undefined
  readonly grants: readonly ReferenceGrant[]
}

const ALL: HTTPRouteMatch = { path: { type: 'PathPrefix', value: '/' } }

/** The rules that a route has at a listener that takes these hostnames of it ('*' for all). */
export function routeRules(route: HTTPRoute, hostnames: readonly string[], parts: RouteParts): RoutingRule[] {
  const { metadata, spec } = route
  const owner = `HTTPRoute/${metadata.namespace}/${metadata.name}`
  const order = [metadata.creationTimestamp ?? '', `${metadata.namespace}/${metadata.name}`]
  const hosts = hostnames.map(hostPattern)
  return (spec.rules ?? [{}]).flatMap((rule, index) => {
    const matches = (rule.matches ?? []).length === 0 ? [ALL] : rule.matches!
    return matches.flatMap((match, at) => {
      const shares = sharesOf(route, rule, match, owner, parts)
      const place = [...order, String(index).padStart(3, '0'), String(at).padStart(3, '0')]
      return hosts.map((host): RoutingRule => ({
        host,
        path: pathOf(match),
        condition: conditionOf(match),
        shares,
        fallback: false,
        order: place,
        owner,
      }))
    })
  })
}

/** A wildcard of the Gateway API stands for any number of labels. */
export function hostPattern(hostname: string): HostPattern {
  return hostname.startsWith('*.') ? `*${hostname}` : hostname
}

function pathOf({ path }: HTTPRouteMatch): RoutingRule['path'] {
  switch (path.type) {
    case 'Exact':
      return { type: 'exact', value: path.value }
    case 'PathPrefix':
      return { type: 'prefix', value: path.value }
    case 'RegularExpression':
      return { type: 'expression', value: path.value }
  }
}

function conditionOf({ path, method, headers = [], queryParams = [] }: HTTPRouteMatch): RequestMatch {
  return {
    ...MATCH_ALL,
    method,
    headers,
    queryParams,
    ...(path.type === 'RegularExpression' ? { pathExpression: path.value } : {}),
  }
}

function sharesOf(
  route: HTTPRoute,
  rule: HTTPRouteRule,
  match: HTTPRouteMatch,
  owner: string,
  parts: RouteParts,
): readonly WeightedBackend[] {
  const { filters = [], backendRefs = [] } = rule
  const redirect = filters.find(({ requestRedirect }) => requestRedirect !== undefined)?.requestRedirect
  if (redirect !== undefined) {
    const { scheme, hostname, port, path, statusCode } = redirect
    const name = parts.backends.redirect(
      { scheme, hostname, port, path: pathChange(path, match), code: statusCode },
      filtersOf(
        filters.filter(({ type }) => type === 'ResponseHeaderModifier'),
        undefined,
        match,
      ),
      owner,
    )
    return [{ backend: name, weight: 1 }]
  }
  const shares = backendRefs
    .filter(({ weight }) => weight > 0)
    .map((ref): WeightedBackend => ({ backend: backendOf(route, rule, ref, match, owner, parts), weight: ref.weight }))
  // Nowhere to go at all: 500, as the specification wants it.
  return shares.length > 0 ? shares : [{ backend: parts.backends.answer(500, owner), weight: 1 }]
}

/** A share whose Service is not there, or not allowed, is answered by 500. */
function backendOf(
  route: HTTPRoute,
  { filters = [], timeouts }: HTTPRouteRule,
  ref: HTTPBackendRef,
  match: HTTPRouteMatch,
  owner: string,
  { backends, serviceOf, grants }: RouteParts,
): string {
  const found = backendService(ref, route.metadata.namespace, grants, serviceOf)
  if ('problem' in found) return backends.answer(500, owner)
  const port = found.service.spec.ports!.find((candidate) => candidate.port === ref.port)!
  return backends.service(found.service, port, filtersOf([...filters, ...(ref.filters ?? [])], timeouts, match), owner)
}

function filtersOf(
  filters: readonly HTTPRouteFilter[],
  timeouts: HTTPRouteTimeouts | undefined,
  match: HTTPRouteMatch,
): RequestFilters {
  const rewrite = filters.find(({ urlRewrite }) => urlRewrite !== undefined)?.urlRewrite
  const limits = [timeouts?.request, timeouts?.backendRequest].flatMap((text) =>
    text === undefined ? [] : [parseGatewayDuration(text) ?? 0],
  )
  const finite = limits.filter((limit) => limit > 0)
  return {
    ...NO_FILTERS,
    requestHeaders: filters.flatMap(({ requestHeaderModifier }) => requestHeaderModifier ?? []),
    responseHeaders: filters.flatMap(({ responseHeaderModifier }) => responseHeaderModifier ?? []),
    ...(rewrite === undefined
      ? {}
      : { rewrite: { hostname: rewrite.hostname, path: pathChange(rewrite.path, match) } }),
    ...(limits.length === 0 ? {} : { timeout: finite.length === 0 ? 0 : Math.min(...finite) }),
  }
}

function pathChange(modifier: HTTPPathModifier | undefined, { path }: HTTPRouteMatch): PathChange | undefined {
  if (modifier === undefined) return undefined
  const { type, replaceFullPath = '', replacePrefixMatch = '' } = modifier
  return type === 'ReplaceFullPath'
    ? { full: replaceFullPath === '' ? '/' : replaceFullPath }
    : { prefix: normalPrefix(path.value), replacement: replacePrefixMatch }
}
