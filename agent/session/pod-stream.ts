/**
 * Answers one OpenStream: a further call of the agent's, whose first message names the stream, then a log, a command's
 * output or what else was asked for.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Client } from '../../proto/rpc/rpc.ts'
import type { Input } from '../../proto/codec/wire.ts'
import { Channel } from '../../proto/base/channel.ts'
import type { OpenStream, Services, StreamDown, StreamUp } from '../../proto/gen/types.ts'
import type { NodeStreams } from './contract.ts'

/** Pieces of input that wait at most: whoever sends more is made to wait. */
const IN_FLIGHT = 4

type Up = Input<StreamUp>
type Down = NonNullable<StreamDown['message']>
type DownValues = { readonly [D in Down as D['case']]: D['value'] }

/**
 * `streams`: what this node can be asked. Until all is said, the other side has gone, or the signal is aborted. Throws
 * only what the connection throws.
 */
export async function serveStream(
  nodes: Client<Services['Nodes']>,
  open: OpenStream,
  streams: Partial<NodeStreams>,
  signal: AbortSignal,
): Promise<void> {
  const ending = new AbortController()
  const both = AbortSignal.any([signal, ending.signal])
  const inputs = new Channel<Down>()
  try {
    for await (const { message } of nodes.stream(answer(open, streams, inputs, both), { signal })) {
      if (message === undefined) continue
      inputs.push(message)
      await inputs.waitForRoom(IN_FLIGHT)
    }
  } finally {
    inputs.close()
    ending.abort(new GantryError('Cancelled', 'the stream has ended'))
  }
}

async function* answer(
  open: OpenStream,
  streams: Partial<NodeStreams>,
  inputs: Channel<Down>,
  signal: AbortSignal,
): AsyncGenerator<Up, void, undefined> {
  yield { message: { case: 'opened', value: open.streamId } }
  try {
    yield* output(open, streams, inputs, signal)
  } catch (thrown) {
    if (signal.aborted) return
    const { code, message, details } = GantryError.from(thrown)
    yield { message: { case: 'error', value: { code, message, details: [...details] } } }
  } finally {
    // Input that nobody takes any more must not hold up whoever brings it.
    inputs.close()
  }
}

async function* output(
  { podUid, request }: OpenStream,
  streams: Partial<NodeStreams>,
  inputs: Channel<Down>,
  signal: AbortSignal,
): AsyncGenerator<Up, void, undefined> {
  switch (request?.case) {
    case 'logs':
      for await (const data of able(streams, 'logs').logs(podUid, request.value, signal))
        yield { message: { case: 'logs', value: { data } } }
      return
    case 'exec':
      for await (const value of able(streams, 'exec').exec(podUid, request.value, only(inputs, 'exec'), signal))
        yield { message: { case: 'exec', value } }
      return
    case 'attach':
      for await (const value of able(streams, 'attach').attach(podUid, request.value, only(inputs, 'exec'), signal))
        yield { message: { case: 'exec', value } }
      return
    case 'forward':
      for await (const value of able(streams, 'forward').forward(
        podUid,
        request.value,
        only(inputs, 'forward'),
        signal,
      ))
        yield { message: { case: 'forward', value } }
      return
    case 'copy':
      for await (const value of able(streams, 'copy').copy(podUid, request.value, only(inputs, 'copy'), signal))
        yield { message: { case: 'copy', value } }
      return
    case 'netCheck':
      for await (const value of able(streams, 'checkNetwork').checkNetwork(
        request.value,
        only(inputs, 'netCheck'),
        signal,
      ))
        yield { message: { case: 'netCheck', value } }
      return
    case 'usage':
      yield { message: { case: 'usage', value: await able(streams, 'usage').usage() } }
      return
    case 'page':
      yield { message: { case: 'page', value: await able(streams, 'page').page(request.value.path) } }
      return
    case undefined:
      throw new GantryError(
        'Unsupported',
        'this agent does not know what is asked of it; it may be older than the controller',
      )
  }
}

/** Unsupported: it has no such streams. */
function able<K extends keyof NodeStreams>(streams: Partial<NodeStreams>, what: K): Pick<NodeStreams, K> {
  if (streams[what] === undefined)
    throw new GantryError('Unsupported', `this agent has no streams of the kind "${what}"`)
  return streams as Pick<NodeStreams, K>
}

/** The inputs of one kind, which is all that the request takes. */
async function* only<C extends Down['case']>(
  inputs: AsyncIterable<Down>,
  wanted: C,
): AsyncGenerator<DownValues[C], void, undefined> {
  for await (const input of inputs) if (input.case === wanted) yield input.value as DownValues[C]
}
