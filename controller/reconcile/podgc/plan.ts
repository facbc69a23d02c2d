/**
 * Which pods can never end by themselves, because their node is gone for good. Pure.
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
 */
import type { Pod } from '../../../proto/gen/types.ts'

/** Milliseconds that a node must have been gone: it may be about to register anew under its name. */
export const NODE_QUARANTINE_MS = 40_000

export type PodCollection =
  | { readonly kind: 'wait'; readonly millis: number }
  | { readonly kind: 'delete'; readonly pods: readonly Pod[] }

/** `goneFor`: milliseconds since the node was first missed. */
export function planPodCollection(pods: readonly Pod[], goneFor: number): PodCollection {
  if (pods.length > 0 && goneFor < NODE_QUARANTINE_MS) return { kind: 'wait', millis: NODE_QUARANTINE_MS - goneFor }
  return { kind: 'delete', pods }
}
