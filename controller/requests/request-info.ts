/**
 * What is asked at the door: who asks, by which face, and what is to be done to what. It is all that authorization,
 * counting and audit go by; what the request carries (an object, a patch, options) comes after it.
 * https://kubernetes.io/docs/reference/access-authn-authz/authorization/#review-your-request-attributes
 */
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import type { Kind } from '../../proto/gen/types.ts'
import type { User } from '../api/contract.ts'
import type { Attributes } from '../authorization/authorizer.ts'

/** How the request came. */
export type FaceName = 'grpc' | 'kube'

export interface RequestInfo extends Attributes {
  readonly face: FaceName
  /** The kind, of a resource whose objects the store keeps. */
  readonly kind?: Kind
  /** The version in which it is asked for, such as "apps/v1". */
  readonly apiVersion?: string
  /**
   * A path that is answered to everybody, callers who show nothing among them: health and version. Nobody is asked
   * whether they may.
   */
  readonly open?: boolean
  /**
   * Another controller has let the request in, has asked admission about it, and cannot answer it itself. It counts
   * only if the user is a controller, by its certificate.
   */
  readonly forwarded?: boolean
}

/** The call by which a request comes, as far as the door has to do with it. */
export interface Exchange {
  /** The caller's address as host:port; '' if it is not known. Strangers are told apart by it. */
  readonly peer: string
  /** Aborted when the caller goes away: whoever has gone waits for nothing. */
  readonly signal: AbortSignal
  /**
   * For a face that holds something of a request longer than the door can know, such as an answer that its client does
   * not read: it takes over the request's seat, and gives it back by calling `release`. Without it the seat is given
   * back when the request is over.
   */
  holdSeat?(release: () => void): void
}

/** Subresources by which a request goes on for as long as its caller, or what it is connected to, wants. */
const LONG_RUNNING: ReadonlySet<string> = new Set([
  'attach',
  'exec',
  'log',
  'netcheck',
  'portforward',
  'proxy',
  'session',
  'stream',
])

/** Whether it goes on for as long as somebody wants: it is counted apart from others, and waits for no seat. */
export function isLongRunning({ verb, subresource = '' }: Pick<RequestInfo, 'verb' | 'subresource'>): boolean {
  return verb === 'watch' || LONG_RUNNING.has(subresource)
}

/** A request about a resource, rather than a path beside the resources. */
export type ResourceRequestInfo = RequestInfo & { readonly resource: string }

export interface ObjectRequest {
  readonly face: FaceName
  readonly user: User
  readonly verb: string
  readonly kind: Kind
  /** '' for a kind without namespaces, and for all namespaces. */
  readonly namespace?: string
  /** '' for a collection, as also for an object that is to be created. */
  readonly name?: string
  readonly subresource?: string
  readonly forwarded?: boolean
}

/** A request about objects of a kind that the store keeps, in the words of authorization. */
export function objectRequestInfo({
  face,
  user,
  verb,
  kind,
  namespace = '',
  name = '',
  subresource = '',
  forwarded = false,
}: ObjectRequest): ResourceRequestInfo {
  const served = resourceOf(kind)
  const { group, plural: resource } = served
  const apiVersion = apiVersionOf(served)
  return { face, user, verb, group, resource, subresource, namespace, name, kind, apiVersion, forwarded }
}
