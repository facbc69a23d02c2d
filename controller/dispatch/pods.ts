/** The Pods service: logs and commands, carried to the node that runs the pod. */
import { GantryError } from '../../proto/api/errors.ts'
import type { CallContext, Handlers } from '../../proto/api/rpc.ts'
import type { Input } from '../../proto/api/wire.ts'
import type { ExecInput, ExecOutput, LogsRequest, LogsResponse, Pod, PodsService, StreamDown, StreamUp } from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'
import type { Dispatcher } from './dispatcher.ts'

export class PodStreams implements Handlers<PodsService> {
  readonly #informer: Informer
  readonly #dispatcher: Dispatcher

  constructor(informer: Informer, dispatcher: Dispatcher) {
    this.#informer = informer
    this.#dispatcher = dispatcher
  }

  async *logs(request: LogsRequest, call: CallContext): AsyncGenerator<Input<LogsResponse>, void, undefined> {
    const { pod, node } = this.#placed(request.namespace, request.pod)
    const container = chosenContainer(pod, request.container)
    for await (const { message } of this.#open(node, { podUid: pod.metadata.uid, request: { case: 'logs', value: { ...request, container } } }, nothing(), call)) {
      if (message?.case === 'logs') yield message.value
    }
  }

  async *exec(inputs: AsyncIterable<ExecInput>, call: CallContext): AsyncGenerator<Input<ExecOutput>, void, undefined> {
    const iterator = inputs[Symbol.asyncIterator]()
    const first = await iterator.next()
    const start = first.done === true ? undefined : first.value.input
    if (start?.case !== 'start') throw new GantryError('InvalidArgument', 'exec begins with its start')
    if (start.value.command.length === 0) throw new GantryError('InvalidArgument', 'exec needs a command', { details: [{ field: 'command' }] })
    const { pod, node } = this.#placed(start.value.namespace, start.value.pod)
    const container = chosenContainer(pod, start.value.container)
    const request = { podUid: pod.metadata.uid, request: { case: 'exec' as const, value: { ...start.value, container } } }
    for await (const { message } of this.#open(node, request, execInputs(iterator), call)) {
      if (message?.case !== 'exec') continue
      yield message.value
      if (message.value.output?.case === 'exit') return
    }
    throw new GantryError('Unavailable', `node ${node} ended the stream before the command's exit code was known`)
  }

  #open(node: string, request: Parameters<Dispatcher['streams']['open']>[1], input: AsyncIterable<Input<StreamDown>>, call: CallContext): AsyncIterable<StreamUp> {
    return this.#dispatcher.streams.open(node, request, input, (message) => this.#dispatcher.tell(node, message), call)
  }

  #placed(namespace: string, name: string): { pod: Pod; node: string } {
    const pod = this.#informer.lister('Pod').get(namespace, name)
    if (pod === undefined) throw new GantryError('NotFound', `pods "${name}" not found in namespace ${namespace}`)
    const node = pod.spec.nodeName
    if (node === undefined || node === '') throw new GantryError('FailedPrecondition', `pod ${namespace}/${name} is not placed on a node yet`, { details: [{ remedy: `see gantry why pod/${name} -n ${namespace}` }] })
    return { pod, node }
  }
}

/** The container meant: the one named, the one that the pod marks as its default, or its only one. */
function chosenContainer(pod: Pod, wanted: string): string {
  const names = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map(({ name }) => name)
  if (wanted !== '') {
    if (names.includes(wanted)) return wanted
    throw new GantryError('InvalidArgument', `container "${wanted}" is not in pod ${pod.metadata.name}; it has ${names.join(', ')}`, { details: [{ field: 'container', value: wanted }] })
  }
  const marked = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container']
  return marked !== undefined && names.includes(marked) ? marked : pod.spec.containers[0]!.name
}

async function* execInputs(inputs: AsyncIterator<ExecInput>): AsyncGenerator<Input<StreamDown>, void, undefined> {
  for (let next = await inputs.next(); next.done !== true; next = await inputs.next()) yield { message: { case: 'exec', value: next.value } }
}

async function* nothing(): AsyncGenerator<never, void, undefined> {}
