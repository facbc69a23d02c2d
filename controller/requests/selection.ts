/** What a list or watch asks for: a kind, perhaps one namespace, labels, fields. */
import { resourceOf } from '../../proto/schema/schema.ts'
import {
  parseFieldSelector,
  parseLabelSelector,
  type FieldMatcher,
  type LabelMatcher,
} from '../../proto/objects/selector.ts'
import { withResourceVersion } from '../../proto/codec/wire.ts'
import type { AnyResource, Kind, ObjectBytes } from '../../proto/gen/types.ts'
import type { CachedObject, Lister } from '../informer/contract.ts'

export class Selection {
  readonly kind: Kind
  /** Undefined: every namespace. */
  readonly namespace: string | undefined
  /** All that it depends on, as a text: equal for equal selections. */
  readonly text: string
  readonly #labels: LabelMatcher
  readonly #fields: FieldMatcher
  /** The one name that is selected, if the field selector names it. */
  readonly #name: string | undefined

  /** InvalidArgument for a malformed selector. */
  constructor(kind: Kind, namespace: string | undefined, labelSelector: string, fieldSelector: string) {
    this.kind = kind
    this.namespace = namespace
    this.text = JSON.stringify([kind, namespace ?? '', labelSelector, fieldSelector])
    this.#labels = parseLabelSelector(labelSelector)
    this.#fields = parseFieldSelector(fieldSelector, kind)
    this.#name = this.#fields.exact('metadata.name')
  }

  /** True if it selects every object of its kind and namespace. */
  get isEverything(): boolean {
    return this.#labels.requirements.length === 0 && this.#fields.requirements.length === 0
  }

  matches(object: AnyResource): boolean {
    const { metadata } = object
    if (this.namespace !== undefined && metadata.namespace !== this.namespace) return false
    if (this.#name !== undefined && metadata.name !== this.#name) return false
    return this.#labels.matches(metadata.labels) && this.#fields.matches(object)
  }

  /**
   * What it selects of a cache, in key order. One object by its name, and what an index answers, such as the pods of
   * one node, are found without looking at all others.
   */
  of(lister: Lister<Kind>): readonly CachedObject[] {
    const candidates = this.#candidates(lister)
    return this.isEverything ? candidates : candidates.filter(({ object }) => this.matches(object))
  }

  #candidates(lister: Lister<Kind>): readonly CachedObject[] {
    if (this.#name !== undefined && this.namespace !== undefined)
      return [lister.cached(this.namespace, this.#name) ?? []].flat()
    for (const { path, operator, value } of this.#fields.requirements) {
      const index = operator === '=' ? lister.indexFor(path) : undefined
      if (index !== undefined)
        return lister
          .byIndex(index, value)
          .flatMap(({ metadata: { namespace, name } }) => lister.cached(namespace, name) ?? [])
    }
    return lister.cachedList(this.namespace)
  }
}

/** A cached object as it travels: its stored bytes, at a revision. */
export function toBytes({
  object,
  bytes,
  revision,
}: Pick<CachedObject, 'object' | 'bytes'> & { revision: number }): ObjectBytes {
  return {
    apiVersion: object.apiVersion,
    kind: resourceOf(object.kind).kind,
    raw: withResourceVersion(bytes, String(revision)),
  }
}
