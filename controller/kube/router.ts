/** From a path to who answers it. https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris */
import { apiVersionOf } from '../../proto/schema/schema.ts'
import type { AuthorizedRequest } from '../requests/authorized-request.ts'
import { isLongRunning, type RequestInfo } from '../requests/request-info.ts'
import type { Requests } from '../requests/requests.ts'
import type { Catalog } from './catalog.ts'
import type {
  Answer,
  Endpoint,
  Handle,
  KubeRequest,
  ResourceRequest,
  ServedSubresource,
  Subresource,
  Target,
  UpgradedConnection,
  Verb,
} from './contract.ts'
import { flag } from './query-flag.ts'
import { HttpError } from './status.ts'

export interface RouterParts {
  readonly catalog: Catalog
  readonly endpoints: readonly Endpoint[]
  /** For every resource that the store keeps, by verb. */
  readonly stored: Readonly<Partial<Record<Verb, Handle>>>
  readonly requests: Requests
  /** Asks admission about a connection to a subresource; rejects with what refuses it. */
  readonly connecting: (request: ResourceRequest, subresource: ServedSubresource) => Promise<void>
  /** Sends what would go on in an answer of HTTP, a watch or a log, in the messages of a WebSocket. */
  readonly overWebSocket: (
    request: ResourceRequest,
    connection: UpgradedConnection,
    answer: () => Promise<Answer>,
  ) => Promise<void>
}

/** The exchange's place is a resource, or a path of its own. */
export type Route =
  | { readonly is: 'endpoint'; readonly endpoint: Endpoint }
  | { readonly is: 'resource'; readonly target: Target; readonly verb: Verb }

/** What the method of a subresource that carries a stream is to authorization. */
const CONNECT_VERBS: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}

const WRITES: ReadonlySet<Verb> = new Set<Verb>(['create', 'update', 'patch', 'delete', 'deletecollection'])

/** Its answer goes on for as long as the client wants. */
export function isLongRunningRoute(place: Route): boolean {
  return place.is === 'resource' && isLongRunning({ verb: place.verb, subresource: place.target.subresource })
}

/** It may change something: asked twice, it may do so twice. */
export function isWrite(place: Route): boolean {
  return place.is === 'resource' && place.target.resource.stored !== undefined && WRITES.has(place.verb)
}

export class Router {
  readonly #parts: RouterParts

  constructor(parts: RouterParts) {
    this.#parts = parts
  }

  /**
   * NotFound for a path that is nobody's. `path` is percent-encoded. An endpoint's prefix catches only what is no
   * resource.
   */
  route(method: string, path: string, query: URLSearchParams): Route {
    const { endpoints } = this.#parts
    const exact =
      endpoints.find((candidate) => candidate.path === path) ??
      (path.endsWith('/') ? endpoints.find((candidate) => `${candidate.path}/` === path) : undefined)
    if (exact !== undefined) return { is: 'endpoint', endpoint: exact }
    const watched = watchedPath(path)
    const target = this.#target(watched ?? path)
    const prefix =
      target === undefined
        ? endpoints.find(
            (candidate) => candidate.path.length > 1 && candidate.path.endsWith('/') && path.startsWith(candidate.path),
          )
        : undefined
    if (prefix !== undefined) return { is: 'endpoint', endpoint: prefix }
    if (target === undefined)
      throw new HttpError(404, 'NotFound', 'the server could not find the requested resource', 'NotFound')
    const subresource = this.#subresource(target)
    if (target.subresource !== '' && subresource === undefined)
      throw new HttpError(
        404,
        'NotFound',
        `the server could not find the requested resource: ${target.resource.plural} have no ${target.subresource}`,
        'NotFound',
      )
    if (watched !== undefined) return watchRoute(method, target, query)
    return { is: 'resource', target, verb: verbOf(method, target, query, subresource) }
  }

  /** Forbidden; a Status with code 405 for a verb that the resource does not have. */
  answer(route: Route, request: KubeRequest): Promise<Answer> {
    const { requests, connecting } = this.#parts
    if (route.is === 'endpoint') {
      const { endpoint } = route
      return requests.handle(endpointInfo(endpoint, request), request, () => endpoint.handle(request))
    }
    return requests.handle(resourceInfo(route, request), request, async (authorized) => {
      const resourceRequest = letIn(route, request, authorized)
      const handle = this.#handle(route.target, route.verb)
      const subresource = route.verb === 'connect' ? this.#subresource(route.target) : undefined
      // What has to be upgraded, and is not, is refused anyway.
      if (subresource !== undefined && subresource.served.name === 'proxy')
        await connecting(resourceRequest, subresource.served)
      return handle(resourceRequest)
    })
  }

  async upgrade(route: Route, request: KubeRequest, connection: UpgradedConnection): Promise<void> {
    const { requests, connecting, overWebSocket } = this.#parts
    const subresource = route.is === 'resource' ? this.#subresource(route.target) : undefined
    if (route.is === 'resource' && (route.verb === 'watch' || (route.verb === 'get' && subresource?.streams === true)))
      return requests.handle(resourceInfo(route, request), request, (authorized) => {
        const resourceRequest = letIn(route, request, authorized)
        return overWebSocket(resourceRequest, connection, () => this.#handle(route.target, route.verb)(resourceRequest))
      })
    if (route.is !== 'resource' || subresource?.upgrade === undefined)
      throw new HttpError(400, 'BadRequest', 'this path cannot be upgraded to another protocol')
    const { served, upgrade } = subresource
    return requests.handle(resourceInfo(route, request), request, async (authorized) => {
      const resourceRequest = letIn(route, request, authorized)
      await connecting(resourceRequest, served)
      await upgrade(resourceRequest, connection)
    })
  }

  #subresource(target: Target): Subresource | undefined {
    return target.subresource === '' ? undefined : this.#parts.catalog.subresource(target.resource, target.subresource)
  }

  #handle(target: Target, verb: Verb): Handle {
    const { resource, subresource, name } = target
    const { catalog, stored } = this.#parts
    const found =
      subresource !== ''
        ? this.#subresource(target)?.verbs[verb]
        : resource.stored === undefined
          ? catalog.virtual(resource)?.verbs[verb]
          : resource.verbs.includes(verb)
            ? stored[verb]
            : undefined
    if (found !== undefined) return found
    throw new HttpError(
      405,
      'MethodNotAllowed',
      `${verb} is not possible for ${[resource.plural, subresource].filter(Boolean).join('/')}${name === '' ? '' : ` ${name}`}`,
    )
  }

  #target(path: string): Target | undefined {
    const steps = path.split('/').slice(1)
    const [root, ...rest] = steps
    let group = ''
    if (root === 'apis') group = rest.shift() ?? ''
    else if (root !== 'api') return undefined
    const version = rest.shift() ?? ''
    const find = (plural: string | undefined): Target['resource'] | undefined =>
      plural === undefined ? undefined : this.#parts.catalog.find(group, version, plural)
    // namespaces/NS/PLURAL/… is below a namespace, unless PLURAL is a subresource of Namespace itself.
    const [, namespace, plural] = rest
    const below = rest[0] === 'namespaces' && rest.length >= 3 ? find(plural) : undefined
    const resource = below ?? find(rest[0])
    if (resource === undefined || (below !== undefined && !below.namespaced)) return undefined
    const own = below === undefined ? rest.slice(1) : rest.slice(3)
    // Of all namespaces there are only collections.
    if (below === undefined && resource.namespaced && own.some((step) => step !== '')) return undefined
    const [name = '', subresource = '', ...more] = own
    // Whose it is must stand in the path: there it is looked at whether the caller may.
    if (name === '' && own.length > 1) return undefined
    const decoded = [below === undefined ? '' : namespace!, name, subresource].map(decode)
    return {
      resource,
      namespace: decoded[0]!,
      name: decoded[1]!,
      subresource: decoded[2]!,
      rest: more.length === 0 ? '' : `/${more.join('/')}`,
    }
  }
}

/** A path beside the resources. What is written with one slash more is the same. */
function endpointInfo({ path, open = false }: Endpoint, request: KubeRequest): RequestInfo {
  return {
    face: 'kube',
    user: request.user,
    verb: request.method.toLowerCase(),
    path: `${path}/` === request.path ? path : request.path,
    open,
  }
}

function resourceInfo({ target, verb }: Extract<Route, { is: 'resource' }>, request: KubeRequest): RequestInfo {
  const { resource, namespace, name, subresource } = target
  return {
    face: 'kube',
    user: request.user,
    verb: verb === 'connect' ? (CONNECT_VERBS[request.method] ?? request.method.toLowerCase()) : verb,
    group: resource.group,
    resource: resource.plural,
    subresource,
    namespace,
    name,
    apiVersion: apiVersionOf(resource),
    ...(resource.stored !== undefined && { kind: resource.stored }),
  }
}

function letIn(
  { target, verb }: Extract<Route, { is: 'resource' }>,
  request: KubeRequest,
  authorized: AuthorizedRequest,
): ResourceRequest {
  if (target.resource.deprecation !== undefined) request.warn(target.resource.deprecation)
  return Object.assign(request, { target, verb, authorized })
}

/**
 * The path whose watch /api/v1/watch/… or /apis/GROUP/VERSION/watch/… is; undefined for other paths. Kubernetes has
 * deprecated them, and serves them.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
function watchedPath(path: string): string | undefined {
  const [, base, rest] = /^(\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)\/watch(\/.+)$/.exec(path) ?? []
  return base === undefined ? undefined : `${base}${rest}`
}

/** A watch of the collection, or of the one object that the path names. */
function watchRoute(method: string, target: Target, query: URLSearchParams): Route {
  if (method !== 'GET')
    throw new HttpError(405, 'MethodNotAllowed', `a watch is asked for with GET, not with ${method}`)
  if (target.subresource !== '')
    throw new HttpError(404, 'NotFound', 'the server could not find the requested resource', 'NotFound')
  const selected = query.get('fieldSelector') ?? ''
  // Whoever answers the watch looks there.
  if (target.name !== '')
    query.set('fieldSelector', `${selected}${selected === '' ? '' : ','}metadata.name=${target.name}`)
  return { is: 'resource', target, verb: 'watch' }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new HttpError(400, 'BadRequest', `the path holds a malformed percent-encoding: ${text}`)
  }
}

function verbOf(method: string, target: Target, query: URLSearchParams, subresource: Subresource | undefined): Verb {
  if (subresource?.served.verbs.includes('connect') === true) return 'connect'
  const collection = target.name === ''
  // A collection is not written, and an object that is there is not made.
  if (collection ? method === 'PUT' || method === 'PATCH' : method === 'POST' && subresource === undefined)
    throw new HttpError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (!collection) return 'get'
      return method === 'GET' && flag(query, 'watch') === true ? 'watch' : 'list'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return collection ? 'deletecollection' : 'delete'
    default:
      throw new HttpError(405, 'MethodNotAllowed', `method ${method} is not one of the API`)
  }
}
