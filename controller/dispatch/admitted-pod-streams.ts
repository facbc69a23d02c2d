/**
 * The Pods service for callers of this face: admission plugins are asked about connections into pods, as they are on
 * the Kubernetes face, before anything is reached.
 */
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
import { isController } from '../api/authorization.ts'
import type { ObjectApi } from '../api/contract.ts'
import { begin, prependMessage, type PodStreams } from './pod-streams.ts'

/** Where a connection leads. */
interface ConnectionTarget {
  readonly namespace: string
  readonly pod: string
}

export class AdmittedPodStreams implements Handlers<PodsService> {
  readonly #pods: PodStreams
  readonly #api: Pick<ObjectApi, 'admitConnection'>

  constructor(pods: PodStreams, api: Pick<ObjectApi, 'admitConnection'>) {
    this.#pods = pods
    this.#api = api
  }

  logs(request: LogsRequest, call: CallContext): AsyncGenerator<Input<LogsResponse>, void, undefined> {
    return this.#pods.logs(request, call)
  }

  exec(inputs: AsyncIterable<ExecInput>, call: CallContext): AsyncGenerator<Input<ExecOutput>, void, undefined> {
    return this.#admitted(
      inputs,
      call,
      ({ input }) =>
        input?.case !== 'start'
          ? undefined
          : {
              place: input.value,
              subresource: 'exec',
              options: { kind: 'PodExecOptions', ...streams(input.value), command: [...input.value.command] },
            },
      (all) => this.#pods.exec(all, call),
    )
  }

  attach(inputs: AsyncIterable<ExecInput>, call: CallContext): AsyncGenerator<Input<ExecOutput>, void, undefined> {
    return this.#admitted(
      inputs,
      call,
      ({ input }) =>
        input?.case !== 'attach'
          ? undefined
          : {
              place: input.value,
              subresource: 'attach',
              options: { kind: 'PodAttachOptions', ...streams(input.value) },
            },
      (all) => this.#pods.attach(all, call),
    )
  }

  portForward(
    inputs: AsyncIterable<PortForwardInput>,
    call: CallContext,
  ): AsyncGenerator<Input<PortForwardOutput>, void, undefined> {
    return this.#admitted(
      inputs,
      call,
      ({ input }) =>
        input?.case !== 'start'
          ? undefined
          : {
              place: input.value,
              subresource: 'portforward',
              options: { kind: 'PodPortForwardOptions', ports: [input.value.port] },
            },
      (all) => this.#pods.portForward(all, call),
    )
  }

  /** To Kubernetes, copying is running tar in the container: whoever may not do that may not copy. */
  copy(inputs: AsyncIterable<CopyInput>, call: CallContext): AsyncGenerator<Input<CopyOutput>, void, undefined> {
    return this.#admitted(
      inputs,
      call,
      ({ input }) =>
        input?.case !== 'start'
          ? undefined
          : {
              place: input.value,
              subresource: 'exec',
              options: {
                kind: 'PodExecOptions',
                ...streams({ ...input.value, stdin: input.value.into, tty: false }),
                command: ['tar'],
              },
            },
      (all) => this.#pods.copy(all, call),
    )
  }

  /** What begins otherwise than it must is told by the service itself. What a controller passes on, it has admitted. */
  async *#admitted<I, O>(
    inputs: AsyncIterable<I>,
    call: CallContext,
    described: (
      first: I,
    ) => { readonly place: ConnectionTarget; readonly subresource: string; readonly options: JsonObject } | undefined,
    serve: (all: AsyncIterable<I>) => AsyncGenerator<O, void, undefined>,
  ): AsyncGenerator<O, void, undefined> {
    const { first, rest } = await begin(inputs)
    const asked = first === undefined || isController(call.user) ? undefined : described(first)
    if (asked !== undefined) {
      const {
        place: { namespace, pod },
        subresource,
        options,
      } = asked
      await this.#api.admitConnection(
        'Pod',
        namespace,
        pod,
        subresource,
        { ...options, apiVersion: 'v1' },
        { fieldManager: call.user.name, user: call.user },
      )
    }
    yield* serve(first === undefined ? none() : prependMessage(first, rest))
  }
}

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

async function* none(): AsyncGenerator<never, void, undefined> {}
