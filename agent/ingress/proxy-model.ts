/**
 * What the proxy is to do, free of how it is told: ports, the hosts and paths of each, and the backends that requests
 * end at. Everything is plain data, so that two models are the same if their JSON is.
 */
import type { HTTPHeaderFilter, HTTPHeaderMatch, HTTPQueryParamMatch } from '../../proto/gen/types.ts'

/**
 * A host: "a.example.com", "*.example.com" for one label more, "**.example.com" for one or more labels more, "*" for
 * all.
 */
export type HostPattern = string

/** What a request must be like beside its host and path. */
export interface RequestMatch {
  readonly method?: string | undefined
  readonly headers: readonly HTTPHeaderMatch[]
  readonly queryParams: readonly HTTPQueryParamMatch[]
  /** PCRE of the whole path. */
  readonly pathExpression?: string | undefined
}

/** A backend and its share of a target's requests. */
export interface WeightedBackend {
  readonly backend: string
  readonly weight: number
}

/** Requests, and where they go: one or more backends, each with its share. */
export interface RoutingRule {
  readonly host: HostPattern
  readonly path: { readonly type: 'exact' | 'prefix' | 'expression'; readonly value: string }
  readonly condition: RequestMatch
  readonly shares: readonly WeightedBackend[]
  /** It counts only where no other rule does: an Ingress's default backend. */
  readonly fallback: boolean
  /** Settles what is equal otherwise: the smaller first. */
  readonly order: readonly string[]
  /** "Kind/namespace/name" of the object that says so. */
  readonly owner: string
}

/** One of a path's candidates: the first whose condition holds is taken. */
export interface RouteCandidate {
  readonly condition: RequestMatch
  readonly shares: readonly WeightedBackend[]
  readonly owner: string
}

/** A path of a host; a request belongs to the exact one, else to the longest prefix. */
export interface PathNode {
  readonly type: 'exact' | 'prefix'
  readonly value: string
  readonly choices: readonly RouteCandidate[]
}

export interface VirtualHost {
  readonly pattern: HostPattern
  readonly paths: readonly PathNode[]
}

/** A certificate with its key, and the names that it is shown for. */
export interface Certificate {
  /** Name of its file. */
  readonly name: string
  readonly pem: string
  /** Server names; empty: those of the certificate. */
  readonly hosts: readonly string[]
  readonly owner: string
}

export interface FrontendPort {
  readonly port: number
  /** Undefined: HTTP in the clear. The first certificate is shown to who names no other's host. */
  readonly certificates: readonly Certificate[] | undefined
  readonly hosts: readonly VirtualHost[]
  /** Ingresses and Gateways that are served there. */
  readonly owners: readonly string[]
}

export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** What is done to requests on their way, in this order: headers, host and path. */
export interface RequestFilters {
  readonly requestHeaders: readonly HTTPHeaderFilter[]
  readonly responseHeaders: readonly HTTPHeaderFilter[]
  readonly rewrite?: { readonly hostname?: string | undefined; readonly path?: PathChange | undefined } | undefined
  /** Milliseconds until the answer begins; 0: no end; undefined: as everywhere. */
  readonly timeout?: number | undefined
}

/** Another path: the whole, or what stands for the prefix that was matched. */
export type PathChange = { readonly full: string } | { readonly prefix: string; readonly replacement: string }

export interface Redirect {
  readonly scheme?: string | undefined
  readonly hostname?: string | undefined
  readonly port?: number | undefined
  readonly path?: PathChange | undefined
  readonly code: number
}

/** How pods are spoken to. */
export type BackendProtocol = 'http1' | 'http2' | 'https'

export type BackendDestination =
  | {
      readonly is: 'endpoints'
      readonly service: string
      readonly protocol: BackendProtocol
      readonly sticky: boolean
      readonly endpoints: readonly Endpoint[]
    }
  /** A name outside the cluster, looked up again and again. */
  | { readonly is: 'name'; readonly host: string; readonly port: number; readonly protocol: BackendProtocol }
  | { readonly is: 'answer'; readonly status: number }
  | { readonly is: 'redirect'; readonly redirect: Redirect }

export interface Backend {
  readonly name: string
  readonly destination: BackendDestination
  readonly treatment: RequestFilters
  readonly owner: string
}

export interface ProxyModel {
  readonly ports: readonly FrontendPort[]
  readonly backends: ReadonlyMap<string, Backend>
  /** "namespace/name" of the Services that rules name, whether they exist or not. */
  readonly services: ReadonlySet<string>
  /** What of the objects cannot be done, for people. */
  readonly problems: readonly { readonly owner: string; readonly reason: string; readonly message: string }[]
}

export const MATCH_ALL: RequestMatch = { headers: [], queryParams: [] }
export const NO_FILTERS: RequestFilters = { requestHeaders: [], responseHeaders: [] }

/** True if it holds of every request. */
export function matchesEverything({ method, headers, queryParams, pathExpression }: RequestMatch): boolean {
  return method === undefined && pathExpression === undefined && headers.length === 0 && queryParams.length === 0
}
