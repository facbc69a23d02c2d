/**
 * Nodes that answer what a test says: streams to and from their pods, what they use, whether they reach each other.
 * They stand where a controller asks its agents, behind the door.
 */
import type { PodBackend } from '../../controller/requests/backends.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type {
  AttachStart,
  CopyInput,
  CopyOutput,
  CopyStart,
  ExecInput,
  ExecOutput,
  ExecStart,
  LogsRequest,
  LogsResponse,
  NetCheckRequest,
  NetCheckResult,
  NodeUsage,
  PortForwardInput,
  PortForwardOutput,
  PortForwardStart,
} from '../../proto/gen/types.ts'

/** Answers a call whose first message was `start`; `inputs` are those after it. */
type StreamScript<S, I, O> = (start: S, inputs: AsyncIterable<I>, signal: AbortSignal) => AsyncIterable<Input<O>>

export class ScriptedNodes implements PodBackend {
  /** "pod/container" → timed lines, "TIME TEXT". A container that is not among them has not started. */
  readonly lines = new Map<string, string[]>()
  readonly logRequests: LogsRequest[] = []
  /** By node; one that is not among them cannot be asked. */
  readonly used = new Map<string, NodeUsage>()
  /** What a check of the network finds. */
  readonly checks: Input<NetCheckResult>[] = []
  readonly checkRequests: NetCheckRequest[] = []

  onExec: StreamScript<ExecStart, ExecInput, ExecOutput> = async function* () {
    yield { output: { case: 'exit', value: { code: 0, message: '' } } }
  }
  onAttach: StreamScript<AttachStart, ExecInput, ExecOutput> = async function* () {
    yield { output: { case: 'exit', value: { code: 0, message: '' } } }
  }
  onCopy: StreamScript<CopyStart, CopyInput, CopyOutput> = async function* () {}
  onPortForward: StreamScript<PortForwardStart, PortForwardInput, PortForwardOutput> = async function* () {}

  async *logs(request: LogsRequest): AsyncGenerator<Input<LogsResponse>, void, undefined> {
    this.logRequests.push(request)
    const { pod, container, timestamps, tailLines } = request
    const lines = this.lines.get(`${pod}/${container}`)
    if (lines === undefined)
      throw new GantryError('FailedPrecondition', `container ${container} of pod ${pod} has not started`)
    for (const line of tailLines === undefined ? lines : lines.slice(-tailLines))
      yield { data: Buffer.from(`${timestamps ? line : line.slice(line.indexOf(' ') + 1)}\n`) }
  }

  exec(...[inputs, { signal }]: Parameters<PodBackend['exec']>): ReturnType<PodBackend['exec']> {
    return answered(inputs, 'start', (start, rest) => this.onExec(start, rest, signal))
  }

  attach(...[inputs, { signal }]: Parameters<PodBackend['attach']>): ReturnType<PodBackend['attach']> {
    return answered(inputs, 'attach', (start, rest) => this.onAttach(start, rest, signal))
  }

  copy(...[inputs, { signal }]: Parameters<PodBackend['copy']>): ReturnType<PodBackend['copy']> {
    return answered(inputs, 'start', (start, rest) => this.onCopy(start, rest, signal))
  }

  portForward(...[inputs, { signal }]: Parameters<PodBackend['portForward']>): ReturnType<PodBackend['portForward']> {
    return answered(inputs, 'start', (start, rest) => this.onPortForward(start, rest, signal))
  }

  async usage(node: string): Promise<NodeUsage> {
    const usage = this.used.get(node)
    if (usage === undefined) throw new GantryError('Unavailable', `node ${node} cannot be asked`)
    return usage
  }

  async *checkNetwork(request: NetCheckRequest): AsyncGenerator<Input<NetCheckResult>, void, undefined> {
    this.checkRequests.push(request)
    yield* this.checks
  }
}

type Message = { readonly input?: { readonly case: string; readonly value: unknown } | undefined }
type ValueOf<I extends Message, C extends string> = Extract<NonNullable<I['input']>, { readonly case: C }>['value']

/** Hands on what comes after the first input, which says what is wanted. */
async function* answered<I extends Message, C extends string, O>(
  inputs: AsyncIterable<I>,
  wanted: C,
  script: (start: ValueOf<I, C>, rest: AsyncIterable<I>) => AsyncIterable<O>,
): AsyncGenerator<O, void, undefined> {
  const iterator = inputs[Symbol.asyncIterator]()
  const first = await iterator.next()
  const start = first.done === true ? undefined : first.value.input
  if (start?.case !== wanted) throw new GantryError('InvalidArgument', `the first input is not ${wanted}`)
  yield* script(start.value as ValueOf<I, C>, { [Symbol.asyncIterator]: () => iterator })
}
