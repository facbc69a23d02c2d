/** Which object is meant. */
import type { Kind } from '../gen/types.ts'

export interface ObjectKey {
  readonly kind: Kind
  /** Empty for kinds that belong to the cluster. */
  readonly namespace: string
  readonly name: string
}
