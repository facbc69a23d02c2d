/**
 * The service Pods: streams to and from running pods. Each call is a connection to a subresource of the pod, as the
 * Kubernetes API words it; to Kubernetes, copying is running tar in the container: whoever may not do that may not
 * copy.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext, Handlers } from '../../proto/rpc/rpc.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type {
  CopyInput,
  CopyOutput,
  ExecInput,
  ExecOutput,
  JsonObject,
  LogsRequest,
  LogsResponse,
  PodsService,
  PortForwardInput,
  PortForwardOutput,
} from '../../proto/gen/types.ts'
import type { AuthorizedRequest } from '../requests/authorized-request.ts'
import { objectRequestInfo, type ResourceRequestInfo } from '../requests/request-info.ts'
import type { Requests } from '../requests/requests.ts'
import { isForwarded, userOf } from './caller.ts'

/** Where a connection leads. */
interface ConnectionTarget {
  readonly namespace: string
  readonly pod: string
}

/** What a connection is to authorization and admission. */
interface Connection {
  readonly target: ConnectionTarget
  readonly subresource: string
  readonly options: JsonObject & { kind: string }
}

export class PodsHandlers implements Handlers<PodsService> {
  readonly #requests: Requests

  constructor(requests: Requests) {
    this.#requests = requests
  }

  logs(request: LogsRequest, call: CallContext): AsyncGenerator<Input<LogsResponse>, void, undefined> {
    return this.#requests.stream(infoOf('get', request, 'log', call), call, ({ pods }) => pods.logs(request, call))
  }

  exec(inputs: AsyncIterable<ExecInput>, call: CallContext): AsyncGenerator<Input<ExecOutput>, void, undefined> {
    return this.#connect(
      inputs,
      call,
      ({ input }) => {
        if (input?.case !== 'start') throw new GantryError('InvalidArgument', 'exec begins with its start')
        const { command } = input.value
        const options = { kind: 'PodExecOptions', ...streams(input.value), command: [...command] }
        return { target: input.value, subresource: 'exec', options }
      },
      ({ pods }, start, rest) => pods.exec(start, rest, call),
    )
  }

  attach(inputs: AsyncIterable<ExecInput>, call: CallContext): AsyncGenerator<Input<ExecOutput>, void, undefined> {
    return this.#connect(
      inputs,
      call,
      ({ input }) => {
        if (input?.case !== 'attach') throw new GantryError('InvalidArgument', 'attach begins with its start')
        const options = { kind: 'PodAttachOptions', ...streams(input.value) }
        return { target: input.value, subresource: 'attach', options }
      },
      ({ pods }, start, rest) => pods.attach(start, rest, call),
    )
  }

  portForward(
    inputs: AsyncIterable<PortForwardInput>,
    call: CallContext,
  ): AsyncGenerator<Input<PortForwardOutput>, void, undefined> {
    return this.#connect(
      inputs,
      call,
      ({ input }) => {
        if (input?.case !== 'start') throw new GantryError('InvalidArgument', 'a port forwarding begins with its start')
        const options = { kind: 'PodPortForwardOptions', ports: [input.value.port] }
        return { target: input.value, subresource: 'portforward', options }
      },
      ({ pods }, start, rest) => pods.portForward(start, rest, call),
    )
  }

  copy(inputs: AsyncIterable<CopyInput>, call: CallContext): AsyncGenerator<Input<CopyOutput>, void, undefined> {
    return this.#connect(
      inputs,
      call,
      ({ input }) => {
        if (input?.case !== 'start') throw new GantryError('InvalidArgument', 'a copy begins with its start')
        const { container, into } = input.value
        const options = { kind: 'PodExecOptions', ...streams({ container, stdin: into, tty: false }), command: ['tar'] }
        return { target: input.value, subresource: 'exec', options }
      },
      ({ pods }, start, rest) => pods.copy(start, rest, call),
    )
  }

  /** The first input says what is wanted; nothing is reached before that is authorized and admitted. */
  async *#connect<I, O>(
    inputs: AsyncIterable<I>,
    call: CallContext,
    describe: (start: I) => Connection,
    serve: (request: AuthorizedRequest, start: I, rest: AsyncIterator<I>) => AsyncGenerator<O, void, undefined>,
  ): AsyncGenerator<O, void, undefined> {
    const rest = inputs[Symbol.asyncIterator]()
    const first = await rest.next()
    if (first.done === true) throw new GantryError('InvalidArgument', 'the call ended before it said what is wanted')
    const start = first.value
    const { target, subresource, options } = describe(start)
    yield* this.#requests.stream(infoOf('create', target, subresource, call), call, async (request) => {
      await request.admitConnection({ ...options, apiVersion: 'v1' })
      return serve(request, start, rest)
    })
  }
}

function infoOf(
  verb: string,
  { namespace, pod }: ConnectionTarget,
  subresource: string,
  call: CallContext,
): ResourceRequestInfo {
  return objectRequestInfo({
    face: 'grpc',
    user: userOf(call),
    verb,
    kind: 'Pod',
    namespace,
    name: pod,
    subresource,
    forwarded: isForwarded(call),
  })
}

/** Which streams are wanted: outputs always are, and with a terminal both are one. */
function streams({
  container,
  stdin,
  tty,
}: {
  readonly container: string
  readonly stdin: boolean
  readonly tty: boolean
}): JsonObject {
  return {
    ...(container !== '' && { container }),
    ...(stdin && { stdin }),
    stdout: true,
    ...(!tty && { stderr: true }),
    ...(tty && { tty }),
  }
}
