/** Answers one OpenStream: a further call of the agent's, whose first message names the stream, then a log or a command's output. */
import { GantryError } from '../../proto/api/errors.ts'
import type { Client } from '../../proto/api/rpc.ts'
import type { Input } from '../../proto/api/wire.ts'
import { Channel } from '../../proto/base/channel.ts'
import type { ExecInput, OpenStream, Services, StreamUp } from '../../proto/gen/types.ts'
import type { Workload } from './contract.ts'

/** Pieces of a command's input that wait at most: whoever sends more is made to wait. */
const IN_FLIGHT = 4

type Up = Input<StreamUp>

/** Until the log or the command has ended, the other side has gone, or the signal is aborted. Throws only what the connection throws. */
export async function answerStream(nodes: Client<Services['Nodes']>, open: OpenStream, workload: Workload, signal: AbortSignal): Promise<void> {
  const ending = new AbortController()
  const both = AbortSignal.any([signal, ending.signal])
  const inputs = new Channel<ExecInput>()
  try {
    for await (const { message } of nodes.stream(answer(open, workload, inputs, both), { signal })) {
      if (message === undefined) continue
      inputs.push(message.value)
      await inputs.room(IN_FLIGHT)
    }
  } finally {
    inputs.close()
    ending.abort(new GantryError('Cancelled', 'the stream has ended'))
  }
}

async function* answer(open: OpenStream, workload: Workload, inputs: Channel<ExecInput>, signal: AbortSignal): AsyncGenerator<Up, void, undefined> {
  yield { message: { case: 'opened', value: open.streamId } }
  try {
    yield* output(open, workload, inputs, signal)
  } catch (thrown) {
    if (signal.aborted) return
    const { code, message, details } = GantryError.from(thrown)
    yield { message: { case: 'error', value: { code, message, details: [...details] } } }
  } finally {
    // Input that nobody takes any more must not hold up whoever brings it.
    inputs.close()
  }
}

async function* output({ podUid, request }: OpenStream, workload: Workload, inputs: Channel<ExecInput>, signal: AbortSignal): AsyncGenerator<Up, void, undefined> {
  switch (request?.case) {
    case 'logs':
      for await (const data of workload.logs(podUid, request.value, signal)) yield { message: { case: 'logs', value: { data } } }
      return
    case 'exec':
      for await (const value of workload.exec(podUid, request.value, inputs, signal)) yield { message: { case: 'exec', value } }
      return
    case undefined:
      throw new GantryError('Unsupported', 'this agent does not know what is asked of it; it may be older than the controller')
  }
}
