/** What the session asks of the node, and what the node tells through the session. */
import type {
  AnyResource,
  AttachStart,
  CopyInput,
  CopyOutput,
  CopyStart,
  Event,
  ExecInput,
  ExecOutput,
  ExecStart,
  LogsRequest,
  NetCheckInput,
  NetCheckOutput,
  NetCheckStart,
  NodeUsage,
  Page,
  ObjectRef,
  ObservedPod,
  PodToken,
  PortForwardInput,
  PortForwardOutput,
  PortForwardStart,
} from '../../proto/gen/types.ts'
import type { NodeRanges } from '../network/contract.ts'

/** The node's side: pods and what they use. */
export interface AssignmentHandler {
  /** The control plane knows the node, and its pods have addresses of these ranges. */
  welcome(ranges: NodeRanges): Promise<void>
  /** `complete` replaces all that was assigned before. */
  assign(change: {
    readonly complete: boolean
    readonly set: readonly AnyResource[]
    readonly removed: readonly ObjectRef[]
    readonly tokens: readonly PodToken[]
  }): void
  /**
   * Nothing is sent to these pods (by uid) through Services any more, so that they may be ended. Pods that are not
   * here: nothing happens.
   */
  endpointsDrained(podUids: readonly string[]): void
  /** The present observation of every pod. */
  observations(): readonly ObservedPod[]
}

/**
 * What is asked of the node by streams (OpenStream). Every one ends, and leaves nothing, when its signal is aborted.
 */
export interface NodeStreams {
  /**
   * A container's log, whole lines. NotFound, InvalidArgument (which container?), FailedPrecondition (has not started).
   */
  logs(podUid: string, request: LogsRequest, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Runs a command in a container; the last output is `exit`. Errors as for `logs`. */
  exec(
    podUid: string,
    start: ExecStart,
    inputs: AsyncIterable<ExecInput>,
    signal: AbortSignal,
  ): AsyncIterable<ExecOutput>
  /**
   * Joins a container's own input and outputs; the last output is `exit`. Errors as for `logs`; FailedPrecondition: it
   * does not run, or has no such input.
   */
  attach(
    podUid: string,
    start: AttachStart,
    inputs: AsyncIterable<ExecInput>,
    signal: AbortSignal,
  ): AsyncIterable<ExecOutput>
  /**
   * One connection into a pod; the first output is `connected`. NotFound; FailedPrecondition: nothing listens there.
   */
  forward(
    podUid: string,
    start: PortForwardStart,
    inputs: AsyncIterable<PortForwardInput>,
    signal: AbortSignal,
  ): AsyncIterable<PortForwardOutput>
  /**
   * Files out of a container or into it; the last output is `end`. NotFound, Forbidden, InvalidArgument,
   * FailedPrecondition (it does not run).
   */
  copy(
    podUid: string,
    start: CopyStart,
    inputs: AsyncIterable<CopyInput>,
    signal: AbortSignal,
  ): AsyncIterable<CopyOutput>
  /**
   * The node's part of a check of the network: a throw-away pod's network that answers, and asks as it is told, until
   * the inputs end.
   */
  checkNetwork(
    start: NetCheckStart,
    inputs: AsyncIterable<NetCheckInput>,
    signal: AbortSignal,
  ): AsyncIterable<NetCheckOutput>
  /** What the node and its containers use, over at least half a second. */
  usage(): Promise<NodeUsage>
  /** A page of the node's own, such as /metrics. */
  page(path: string): Promise<Page>
}

/** Where the node's news go. Never waits and never fails. */
export interface StatusSink {
  /** Replaces what was told of the pod before and has not been sent yet. */
  podStatusChanged(pod: ObservedPod): void
  event(event: Event): void
}
