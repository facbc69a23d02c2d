/**
 * The shape of a value for merging: which lists have keys, which objects are structures or maps, what is one value.
 */
import type { JsonValue } from '../gen/types.ts'
import type { FieldSchema } from './model.ts'

export type Shape =
  /** One value, replaced as a whole. */
  | ({ readonly kind: 'atomic' } & Exactness)
  /**
   * An object with the fields of a message or of a custom kind's schema, and perhaps `others`; inlined messages' fields
   * stand among them.
   */
  | ({
      readonly kind: 'struct'
      readonly message: string
      readonly fields: ReadonlyMap<string, FieldShape>
      readonly others?: Shape
    } & Exactness)
  /** An object whose keys are free, such as labels. */
  | ({ readonly kind: 'map'; readonly value: Shape } & Exactness)
  /**
   * A list whose items are told apart by some of their fields; a strategic patch, which knows but one, by `patchKey`.
   */
  | ({
      readonly kind: 'keyed'
      readonly keys: readonly MergeKey[]
      readonly patchKey?: MergeKey
      readonly item: Shape
    } & Exactness)
  /** A list of scalars without order in which none comes twice. */
  | ({ readonly kind: 'set' } & Exactness)

export interface Exactness {
  /** Of a custom kind: a null, an empty list and an empty map are values there, as they are stored. */
  readonly exact?: true
}

export interface FieldShape {
  readonly field: FieldSchema
  readonly shape: Shape
}

export interface MergeKey {
  readonly name: string
  /** What an item counts as when it does not have the field. */
  readonly fallback: JsonValue
}
