/** What an EndpointSlice says of pods. */
import type { EndpointSlice } from '../../proto/gen/types.ts'

/** Pods, by uid, that take connections. */
export function takers({ endpoints = [] }: EndpointSlice): string[] {
  return endpoints.flatMap(({ conditions, targetRef }) =>
    conditions?.ready !== false && targetRef?.uid !== undefined ? [targetRef.uid] : [],
  )
}
