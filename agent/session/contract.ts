/** What the session asks of the node, and what the node tells through the session. */
import type { AnyResource, Event, ExecInput, ExecOutput, LogsRequest, ExecStart, Node, ObjectRef, ObservedPod } from '../../proto/gen/types.ts'

/** The node's side: pods and what they use. */
export interface Workload {
  /** The control plane knows the node; its pod address range stands in spec.podCIDR. */
  welcome(node: Node): Promise<void>
  /** `complete` replaces all that was assigned before. */
  assign(change: { readonly complete: boolean; readonly set: readonly AnyResource[]; readonly removed: readonly ObjectRef[] }): void
  /** The present observation of every pod. */
  observations(): readonly ObservedPod[]
  /** A container's log, whole lines. NotFound, InvalidArgument (which container?), FailedPrecondition (has not started). */
  logs(podUid: string, request: LogsRequest, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Runs a command in a container; the last output is `exit`. Errors as for `logs`. */
  exec(podUid: string, start: ExecStart, inputs: AsyncIterable<ExecInput>, signal: AbortSignal): AsyncIterable<ExecOutput>
}

/** Where the node's news go. Never waits and never fails. */
export interface Reports {
  /** Replaces what was told of the pod before and has not been sent yet. */
  observed(pod: ObservedPod): void
  event(event: Event): void
}
