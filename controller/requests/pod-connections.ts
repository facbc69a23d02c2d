/**
 * Streams to and from the pods that a request has been let in to, and to no others. A connection into a pod's processes
 * is admitted before it is made.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type {
  CopyInput,
  CopyOutput,
  ExecInput,
  ExecOutput,
  LogsRequest,
  LogsResponse,
  PortForwardInput,
  PortForwardOutput,
} from '../../proto/gen/types.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import { prependMessage } from '../dispatch/pod-streams.ts'
import type { PodBackend } from './backends.ts'

/** The pod that a stream is about. */
interface PodTarget {
  readonly namespace: string
  readonly pod: string
}

/** What of a request a stream depends on. */
export interface ConnectionScope {
  /** Throws Internal for a pod that the request has not been let in to. */
  requirePod(namespace: string, name: string): void
  /** Throws Internal before admission has been asked about the connection. */
  requireAdmitted(): void
  /** As whom the node, or another controller, is called. */
  readonly caller: CallContext['user']
}

export class PodConnections {
  readonly #pods: PodBackend
  readonly #scope: ConnectionScope

  constructor(pods: PodBackend, scope: ConnectionScope) {
    this.#pods = pods
    this.#scope = scope
  }

  logs(request: LogsRequest, call: Omit<CallContext, 'user'>): AsyncGenerator<Input<LogsResponse>, void, undefined> {
    this.#scope.requirePod(request.namespace, request.pod)
    return this.#pods.logs(request, this.#call(call))
  }

  /** `start`: the first input. Begins otherwise than it must: InvalidArgument. */
  exec(
    start: ExecInput,
    rest: AsyncIterator<ExecInput>,
    call: Omit<CallContext, 'user'>,
  ): AsyncGenerator<Input<ExecOutput>, void, undefined> {
    this.#require(start.input?.case === 'start' ? start.input.value : undefined)
    return this.#pods.exec(prependMessage(start, rest), this.#call(call))
  }

  attach(
    start: ExecInput,
    rest: AsyncIterator<ExecInput>,
    call: Omit<CallContext, 'user'>,
  ): AsyncGenerator<Input<ExecOutput>, void, undefined> {
    this.#require(start.input?.case === 'attach' ? start.input.value : undefined)
    return this.#pods.attach(prependMessage(start, rest), this.#call(call))
  }

  portForward(
    start: PortForwardInput,
    rest: AsyncIterator<PortForwardInput>,
    call: Omit<CallContext, 'user'>,
  ): AsyncGenerator<Input<PortForwardOutput>, void, undefined> {
    this.#require(start.input?.case === 'start' ? start.input.value : undefined)
    return this.#pods.portForward(prependMessage(start, rest), this.#call(call))
  }

  copy(
    start: CopyInput,
    rest: AsyncIterator<CopyInput>,
    call: Omit<CallContext, 'user'>,
  ): AsyncGenerator<Input<CopyOutput>, void, undefined> {
    this.#require(start.input?.case === 'start' ? start.input.value : undefined)
    return this.#pods.copy(prependMessage(start, rest), this.#call(call))
  }

  #require(target: PodTarget | undefined): void {
    if (target === undefined) throw new GantryError('InvalidArgument', 'the stream begins otherwise than it must')
    this.#scope.requirePod(target.namespace, target.pod)
    this.#scope.requireAdmitted()
  }

  #call({ signal, peer }: Omit<CallContext, 'user'>): CallContext {
    return { signal, peer, user: this.#scope.caller }
  }
}
