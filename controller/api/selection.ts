/** What a list or watch asks for: a kind, perhaps one namespace, labels, fields. */
import { GantryError } from '../../proto/api/errors.ts'
import type { CallContext } from '../../proto/api/rpc.ts'
import { apiVersionOf, resourceOf } from '../../proto/api/schema.ts'
import { parseFieldSelector, parseLabelSelector, type FieldMatcher, type LabelMatcher } from '../../proto/api/selector.ts'
import { withResourceVersion } from '../../proto/api/wire.ts'
import type { AnyResource, Kind, ObjectBytes } from '../../proto/gen/types.ts'
import type { Cached } from '../informer/contract.ts'
import { authorizeKind } from './authorization.ts'
import { namespaceOf, storedKind } from './identity.ts'

export interface SelectionRequest {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly labelSelector: string
  readonly fieldSelector: string
}

export class Selection {
  readonly kind: Kind
  /** Undefined: every namespace. */
  readonly namespace: string | undefined
  readonly #labels: LabelMatcher
  readonly #fields: FieldMatcher

  /** InvalidArgument for an unknown kind or a malformed selector; Forbidden. */
  constructor(request: SelectionRequest, user: CallContext['user']) {
    this.kind = storedKind(request.apiVersion, request.kind)
    authorizeKind(this.kind, user)
    this.namespace = request.namespace === '' ? undefined : namespaceOf(this.kind, request.namespace)
    this.#labels = parseLabelSelector(request.labelSelector)
    this.#fields = parseFieldSelector(request.fieldSelector, this.kind)
  }

  matches(object: AnyResource): boolean {
    if (this.namespace !== undefined && object.metadata.namespace !== this.namespace) return false
    return this.#labels.matches(object.metadata.labels) && this.#fields.matches(object)
  }
}

/** A cached object as it travels: its stored bytes, at a revision. */
export function toBytes({ object, bytes, revision }: Pick<Cached, 'object' | 'bytes'> & { revision: number }): ObjectBytes {
  return { apiVersion: object.apiVersion, kind: object.kind, raw: withResourceVersion(bytes, String(revision)) }
}

/** An object that is nothing but a revision: what a bookmark carries. */
export function revisionOnly(kind: Kind, revision: number): ObjectBytes {
  return { apiVersion: apiVersionOf(resourceOf(kind)), kind, raw: withResourceVersion(new Uint8Array(), String(revision)) }
}

/** The revision that a text names; InvalidArgument. */
export function parseRevision(text: string): number {
  const revision = /^\d{1,15}$/.test(text) ? Number(text) : NaN
  if (Number.isNaN(revision)) throw new GantryError('InvalidArgument', `"${text}" is not a resourceVersion`, { details: [{ field: 'resourceVersion', value: text, message: 'is not a revision', remedy: 'take it from a list or a bookmark' }] })
  return revision
}
