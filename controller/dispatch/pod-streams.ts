/**
 * The Pods service: what is asked of running pods, carried to the node that runs the pod, by way of the controller that
 * holds the node's session.
 */
import { allContainers } from '../../proto/objects/containers.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext, Client, Handlers } from '../../proto/rpc/rpc.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type {
  CopyInput,
  CopyOutput,
  ExecInput,
  ExecOutput,
  LogsRequest,
  LogsResponse,
  OpenStream,
  Pod,
  PodsService,
  PortForwardInput,
  PortForwardOutput,
  StreamDown,
  StreamUp,
} from '../../proto/gen/types.ts'
import { isController } from '../authorization/groups.ts'
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { Peers } from '../election/peers.ts'
import type { Informer } from '../informer/contract.ts'
import type { Dispatcher } from './dispatcher.ts'
import { controllerOf } from '../nodehealth/node-session.ts'

export interface PodStreamsParts {
  readonly informer: Informer
  readonly reads: Pick<ConsistentReads, 'current'>
  readonly dispatcher: Dispatcher
  readonly peers: Peers
  /** This controller's name. */
  readonly controller: string
}

/** The pod meant. */
interface PodTarget {
  readonly namespace: string
  readonly pod: string
  /** Not empty: this very one. */
  readonly uid?: string
}

/** How one kind of call is carried. */
interface StreamCall<O> {
  readonly place: PodTarget
  readonly request: (pod: Pod) => OpenStream['request']
  readonly inputs: AsyncIterable<Input<StreamDown>>
  /** The same call, made to another controller. */
  readonly passOn: (client: Client<PodsService>, options: { readonly signal: AbortSignal }) => AsyncIterable<O>
  /** The answer in a message of the node; undefined: it is none. */
  readonly answer: (message: StreamUp['message']) => O | undefined
  /** Nothing comes after it. Without: the node ends the stream when all is said. */
  readonly isLast?: (answer: O) => boolean
  /** What was not known yet when a stream ended before its last message. */
  readonly missing?: string
}

export class PodStreams implements Handlers<PodsService> {
  readonly #parts: PodStreamsParts

  constructor(parts: PodStreamsParts) {
    this.#parts = parts
  }

  async *logs(request: LogsRequest, call: CallContext): AsyncGenerator<Input<LogsResponse>, void, undefined> {
    yield* this.#carry<LogsResponse>(
      {
        place: request,
        request: (pod) => ({ case: 'logs', value: { ...request, container: chosenContainer(pod, request.container) } }),
        inputs: nothing(),
        passOn: (client, options) => client.logs(request, options),
        answer: (message) => (message?.case === 'logs' ? message.value : undefined),
      },
      call,
    )
  }

  async *exec(inputs: AsyncIterable<ExecInput>, call: CallContext): AsyncGenerator<Input<ExecOutput>, void, undefined> {
    const { first, rest } = await begin(inputs)
    const start = first?.input
    if (start?.case !== 'start') throw new GantryError('InvalidArgument', 'exec begins with its start')
    if (start.value.command.length === 0)
      throw new GantryError('InvalidArgument', 'exec needs a command', { details: [{ field: 'command' }] })
    yield* this.#carry<ExecOutput>(
      {
        ...execAnswers,
        place: start.value,
        request: (pod) => ({
          case: 'exec',
          value: { ...start.value, container: chosenContainer(pod, start.value.container) },
        }),
        inputs: wrapped(rest, (value) => ({ message: { case: 'exec', value } })),
        passOn: (client, options) => client.exec(prependMessage(first!, rest), options),
        missing: "the command's exit code",
      },
      call,
    )
  }

  async *attach(
    inputs: AsyncIterable<ExecInput>,
    call: CallContext,
  ): AsyncGenerator<Input<ExecOutput>, void, undefined> {
    const { first, rest } = await begin(inputs)
    const start = first?.input
    if (start?.case !== 'attach') throw new GantryError('InvalidArgument', 'attach begins with its start')
    yield* this.#carry<ExecOutput>(
      {
        ...execAnswers,
        place: start.value,
        request: (pod) => ({
          case: 'attach',
          value: { ...start.value, container: chosenContainer(pod, start.value.container) },
        }),
        inputs: wrapped(rest, (value) => ({ message: { case: 'exec', value } })),
        passOn: (client, options) => client.attach(prependMessage(first!, rest), options),
        missing: "the container's exit code",
      },
      call,
    )
  }

  async *portForward(
    inputs: AsyncIterable<PortForwardInput>,
    call: CallContext,
  ): AsyncGenerator<Input<PortForwardOutput>, void, undefined> {
    const { first, rest } = await begin(inputs)
    const start = first?.input
    if (start?.case !== 'start') throw new GantryError('InvalidArgument', 'a port forwarding begins with its start')
    const { port } = start.value
    if (port < 1 || port > 65_535)
      throw new GantryError('InvalidArgument', `${port} is no port`, {
        details: [{ field: 'port', value: String(port), remedy: 'give one from 1 to 65535' }],
      })
    yield* this.#carry<PortForwardOutput>(
      {
        place: start.value,
        request: () => ({ case: 'forward', value: start.value }),
        inputs: wrapped(rest, (value) => ({ message: { case: 'forward', value } })),
        passOn: (client, options) => client.portForward(prependMessage(first!, rest), options),
        answer: (message) => (message?.case === 'forward' ? message.value : undefined),
      },
      call,
    )
  }

  async *copy(inputs: AsyncIterable<CopyInput>, call: CallContext): AsyncGenerator<Input<CopyOutput>, void, undefined> {
    const { first, rest } = await begin(inputs)
    const start = first?.input
    if (start?.case !== 'start') throw new GantryError('InvalidArgument', 'a copy begins with its start')
    if (start.value.path === '')
      throw new GantryError('InvalidArgument', 'a copy needs a path', { details: [{ field: 'path' }] })
    yield* this.#carry<CopyOutput>(
      {
        place: start.value,
        request: (pod) => ({
          case: 'copy',
          value: { ...start.value, container: chosenContainer(pod, start.value.container) },
        }),
        inputs: wrapped(rest, (value) => ({ message: { case: 'copy', value } })),
        passOn: (client, options) => client.copy(prependMessage(first!, rest), options),
        answer: (message) => (message?.case === 'copy' ? message.value : undefined),
        isLast: ({ output }) => output?.case === 'end',
        missing: 'whether all was copied',
      },
      call,
    )
  }

  async *#carry<O>(
    { place, request, inputs, passOn, answer, isLast, missing }: StreamCall<O>,
    call: CallContext,
  ): AsyncGenerator<O, void, undefined> {
    const { pod, node } = await this.#resolvePod(place)
    const holder = this.#holder(node, call)
    if (holder !== undefined)
      return yield* passOn(await this.#parts.peers.client(holder, 'Pods'), { signal: call.signal })
    const { dispatcher } = this.#parts
    for await (const { message } of dispatcher.streams.open(
      node,
      { podUid: pod.metadata.uid, request: request(pod) },
      inputs,
      (told) => dispatcher.tell(node, told),
      call,
    )) {
      const told = answer(message)
      if (told === undefined) continue
      yield told
      if (isLast?.(told) === true) return
    }
    if (missing !== undefined)
      throw new GantryError('Unavailable', `node ${node} ended the stream before ${missing} was known`)
  }

  /**
   * The controller that holds the node's session, if it is another one; what a controller has passed on is not passed
   * on again.
   */
  #holder(node: string, call: CallContext): string | undefined {
    const { informer, controller } = this.#parts
    const stored = informer.lister('Node').get('', node)
    const holder = stored === undefined || isController(call.user) ? undefined : controllerOf(stored)
    return holder === controller ? undefined : holder
  }

  /** Whichever controller the pod was made or placed by. */
  async #resolvePod({ namespace, pod: name, uid = '' }: PodTarget): Promise<{ pod: Pod; node: string }> {
    const cached = this.#parts.informer.lister('Pod').get(namespace, name)
    // A pod that is known by its uid and placed stays where it is: what the cache has of it is right, however old.
    if (uid === '' || cached?.metadata.uid !== uid || cached.spec.nodeName === undefined)
      await this.#parts.reads.current()
    const pod = this.#parts.informer.lister('Pod').get(namespace, name)
    if (pod === undefined) throw new GantryError('NotFound', `pods "${name}" not found in namespace ${namespace}`)
    if (uid !== '' && pod.metadata.uid !== uid)
      throw new GantryError('NotFound', `pod ${namespace}/${name} is gone; another one has its name now`)
    const node = pod.spec.nodeName
    if (node === undefined || node === '')
      throw new GantryError('FailedPrecondition', `pod ${namespace}/${name} is not placed on a node yet`, {
        details: [{ remedy: `see gantry why pod/${name} -n ${namespace}` }],
      })
    return { pod, node }
  }
}

const execAnswers: Pick<StreamCall<ExecOutput>, 'answer' | 'isLast'> = {
  answer: (message) => (message?.case === 'exec' ? message.value : undefined),
  isLast: ({ output }) => output?.case === 'exit',
}

/** The container meant: the one named, the one that the pod marks as its default, or its only one. */
function chosenContainer(pod: Pod, wanted: string): string {
  const names = allContainers(pod).map(({ name }) => name)
  if (wanted !== '') {
    if (names.includes(wanted)) return wanted
    throw new GantryError(
      'InvalidArgument',
      `container "${wanted}" is not in pod ${pod.metadata.name}; it has ${names.join(', ')}`,
      { details: [{ field: 'container', value: wanted }] },
    )
  }
  const marked = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container']
  return marked !== undefined && names.includes(marked) ? marked : pod.spec.containers[0]!.name
}

/** The first input, which says what is wanted, and the others. */
export async function begin<I>(inputs: AsyncIterable<I>): Promise<{ first: I | undefined; rest: AsyncIterator<I> }> {
  const rest = inputs[Symbol.asyncIterator]()
  const first = await rest.next()
  return { first: first.done === true ? undefined : first.value, rest }
}

/** All inputs again, as they came. */
export async function* prependMessage<I>(start: I, rest: AsyncIterator<I>): AsyncGenerator<I, void, undefined> {
  yield start
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value
}

export async function* wrapped<I>(
  inputs: AsyncIterator<I>,
  wrap: (input: I) => Input<StreamDown>,
): AsyncGenerator<Input<StreamDown>, void, undefined> {
  for (let next = await inputs.next(); next.done !== true; next = await inputs.next()) yield wrap(next.value)
}

async function* nothing(): AsyncGenerator<never, void, undefined> {}
