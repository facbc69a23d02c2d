/**
 * Whether an object is being deleted, and what holds it.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/
 */
import type { ObjectMeta } from '../gen/types.ts'

interface Deletable {
  readonly metadata: Pick<ObjectMeta, 'deletionTimestamp' | 'finalizers'>
}

/** Its deletion has begun: it carries deletionTimestamp until whatever holds it has let go. */
export function isDeleting({ metadata }: Deletable): boolean {
  return metadata.deletionTimestamp !== undefined
}

export function hasFinalizer({ metadata: { finalizers } }: Deletable, finalizer: string): boolean {
  return finalizers?.includes(finalizer) === true
}

/** The finalizers with one more, at the end if it was not among them. */
export function withFinalizer({ metadata: { finalizers = [] } }: Deletable, finalizer: string): string[] {
  return finalizers.includes(finalizer) ? [...finalizers] : [...finalizers, finalizer]
}

export function withoutFinalizer({ metadata: { finalizers = [] } }: Deletable, finalizer: string): string[] {
  return finalizers.filter((other) => other !== finalizer)
}
