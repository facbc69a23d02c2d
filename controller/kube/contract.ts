/**
 * The Kubernetes face: HTTPS in front of the API core. A request becomes a `KubeRequest`; the router finds who answers
 * it; the `Answer` is written in the encoding that the client asked for. Nothing here knows a kind: what is served
 * comes from the catalog, which is the schema.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Problem } from '../../proto/base/problem.ts'
import type { JsonObject, JsonValue, Kind } from '../../proto/gen/types.ts'
import type { User } from '../api/contract.ts'
import type { AuthorizedRequest } from '../requests/authorized-request.ts'
import type { Exchange } from '../requests/request-info.ts'

/** The words of the API for what is asked for; `connect` is every method of a subresource that carries a stream. */
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection' | 'connect'

/** One line of discovery: a resource of one group and version. */
export interface ServedResource {
  /** '' for the core group. */
  readonly group: string
  readonly version: string
  /** Lower case, in paths. */
  readonly plural: string
  readonly singular: string
  /** As clients know it. */
  readonly kind: string
  readonly listKind: string
  readonly namespaced: boolean
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly verbs: readonly Verb[]
  /** The kind that the store keeps; absent for what is made on the spot (reviews, metrics). */
  readonly stored?: Kind
  /** The message of the schema; absent for a resource that a CustomResourceDefinition defines. */
  readonly message?: string
  /** Said to whoever uses it: a version that is to go. */
  readonly deprecation?: string
}

/** A subresource of a resource, e.g. `pods/log`. */
export interface ServedSubresource {
  readonly parent: ServedResource
  /** log, status, scale, … */
  readonly name: string
  /** What is sent or received. */
  readonly kind: string
  /** Group and version of that, if they are not the parent's. */
  readonly group?: string
  readonly version?: string
  readonly verbs: readonly Verb[]
}

/** What a path below /api or /apis means. */
export interface Target {
  readonly resource: ServedResource
  /** '' for all namespaces, and for resources without. */
  readonly namespace: string
  /** '' for the collection. */
  readonly name: string
  /** '' for the object itself. */
  readonly subresource: string
  /** What follows the subresource, with its first slash, still percent-encoded: the path of a proxied request. */
  readonly rest: string
}

/** A request whose caller is known. */
export interface KubeRequest extends Exchange {
  readonly method: string
  /** Decoded, without query. */
  readonly path: string
  /** As in the request line. */
  readonly url: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly user: User
  /** Aborted when the caller goes away, the deadline of the request passes or the server stops. */
  readonly signal: AbortSignal
  /** The body, read once. ResourceExhausted beyond `limit` bytes (default 3 MiB, as Kubernetes has it). */
  body(limit?: number): Promise<Buffer>
  /** The text of the body as one document of YAML. HttpError: 400, 413. */
  parseYaml(text: string): Promise<{ readonly value: JsonValue; readonly problems: readonly Problem[] }>
  /** Resolves when it is the caller's turn to cost the thread that all share something; undefined: it is at once. */
  turn?(): Promise<void> | undefined
  /** Name of the object in the body, once that has been read: for errors about an object that is to be created. */
  objectName?: string
  /** Adds a `Warning: 299` header to the answer (RFC 7234, section 5.5). */
  warn(text: string): void
}

/** A request about a resource, let in at the door: what it wants is done by `authorized`. */
export interface ResourceRequest extends KubeRequest {
  readonly verb: Verb
  readonly target: Target
  readonly authorized: AuthorizedRequest
}

/** One change in a watch; an ERROR carries a Status and is the last. */
export interface WatchFrame {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: EncodableObject
}

export interface ListMeta {
  readonly resourceVersion: string
  readonly continue?: string
  readonly remainingItemCount?: number
}

/** What is sent back. */
export type Answer =
  /** An object; `code` is 200 unless it says something else. */
  | { readonly is: 'object'; readonly object: EncodableObject; readonly code?: number }
  | {
      readonly is: 'list'
      readonly apiVersion: string
      readonly kind: string
      readonly metadata: ListMeta
      readonly items: readonly EncodableObject[]
    }
  | { readonly is: 'watch'; readonly frames: AsyncIterable<WatchFrame> }
  /** A document that has no form but this. */
  | {
      readonly is: 'bytes'
      readonly type: string
      readonly body: Uint8Array | string
      readonly code?: number
      readonly headers?: Readonly<Record<string, string>>
    }
  /** Bytes as they come, for as long as they come: a log. */
  | { readonly is: 'stream'; readonly type: string; readonly chunks: AsyncIterable<Uint8Array> }
  /** An object made by hand: discovery, which has no schema. */
  | { readonly is: 'json'; readonly json: JsonObject; readonly code?: number }
  /** The handler writes to the socket itself (proxy): given the raw exchange, it answers when it is done. */
  | { readonly is: 'raw'; readonly serve: (exchange: RawExchange) => Promise<void> }

/** The exchange as Node.js has it. */
export interface RawExchange {
  readonly request: import('node:http').IncomingMessage
  readonly response: import('node:http').ServerResponse
}

export type Handle = (request: ResourceRequest) => Promise<Answer>

/**
 * A request to change the protocol of the connection (WebSocket, SPDY). It answers on the socket itself, errors that it
 * throws before it has written anything become an HTTP answer.
 */
export type Upgrade = (request: ResourceRequest, connection: UpgradedConnection) => Promise<void>

export interface UpgradedConnection {
  readonly request: import('node:http').IncomingMessage
  readonly socket: Duplex
  /** What came behind the request already. */
  readonly head: Buffer
}

/** A resource that the store does not keep. */
export interface VirtualResource {
  readonly resource: ServedResource
  readonly verbs: Readonly<Partial<Record<Verb, Handle>>>
  /** It is served, but neither discovery nor OpenAPI names it. */
  readonly unlisted?: boolean
}

/** Who answers for a subresource. */
export interface Subresource {
  readonly served: ServedSubresource
  readonly verbs: Readonly<Partial<Record<Verb, Handle>>>
  readonly upgrade?: Upgrade
  /** Its answer goes on for as long as the client wants, and is sent over a WebSocket to who asks for one. */
  readonly streams?: boolean
}

/** Answers a path outside the resources: discovery, OpenAPI, health. */
export interface Endpoint {
  /** An exact path, or a prefix if it ends in a slash. */
  readonly path: string
  /** Needs no authentication: health and version. */
  readonly open?: boolean
  handle(request: KubeRequest): Promise<Answer>
}

/**
 * Who a bearer token is; undefined if it is none of this authenticator's. Unauthenticated if it is one and does not
 * hold (any more).
 */
export interface Authenticator {
  authenticate(token: string): Promise<User | undefined>
}
export interface EncodableObject {
  /** As clients know them. */
  readonly apiVersion: string
  readonly kind: string
  /** The object in memory, or the JSON that it was made of; must not be changed. */
  readonly object: object
  /** UTF-8. */
  json(): Uint8Array
  /** The message alone, without envelope; undefined if there is no such form of it. */
  protobuf(): Uint8Array | undefined
}
