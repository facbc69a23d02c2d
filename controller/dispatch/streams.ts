/**
 * Logs and commands: a caller's request goes to the node through its session, the node opens a stream for the answer,
 * and the two are joined.
 */
import { GantryError, GRPC_STATUS, type ErrorCode } from '../../proto/base/errors.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type { Input } from '../../proto/codec/wire.ts'
import { Channel } from '../../proto/base/channel.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Random } from '../../proto/base/random.ts'
import { randomUuid } from '../../proto/base/random.ts'
import type { ControllerMessage, OpenStream, StreamDown, StreamUp } from '../../proto/gen/types.ts'

/** A node that has not opened the stream by then cannot. */
const OPEN_TIMEOUT = 10_000

/** Messages that wait here at most, each way: whoever sends more is made to wait. */
const IN_FLIGHT = 8

interface Pending {
  readonly node: string
  readonly down: Channel<Input<StreamDown>>
  readonly up: Channel<StreamUp>
  opened: boolean
}

export class Streams {
  readonly #clock: Clock
  readonly #random: Random
  readonly #pending = new Map<string, Pending>()

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /**
   * Asks a node for a stream; its messages. `tell` puts a message on the node's session, false if there is none. Ends
   * with the stream; Unavailable when the node has no session, does not open the stream in time or loses its session
   * before.
   */
  async *open(
    node: string,
    request: Omit<OpenStream, 'streamId'>,
    input: AsyncIterable<Input<StreamDown>>,
    tell: (message: Input<ControllerMessage>) => boolean,
    call: CallContext,
  ): AsyncGenerator<StreamUp, void, undefined> {
    const streamId = randomUuid(this.#random)
    const stream: Pending = { node, down: new Channel(), up: new Channel(), opened: false }
    this.#pending.set(streamId, stream)
    const timer = this.#clock.after(OPEN_TIMEOUT, () => {
      if (!stream.opened)
        stream.up.close(new GantryError('Unavailable', `node ${node} did not answer within ${OPEN_TIMEOUT / 1000} s`))
    })
    const abort = (): void => stream.up.close(call.signal.reason)
    call.signal.addEventListener('abort', abort, { once: true })
    if (call.signal.aborted) abort()
    feed(input, stream.down).catch((thrown: unknown) => stream.down.close(GantryError.from(thrown, 'Unavailable')))
    try {
      if (!tell({ message: { case: 'openStream', value: { ...request, streamId } } })) {
        throw new GantryError('Unavailable', `node ${node} has no session with the control plane`, {
          details: [{ remedy: `see gantry describe node ${node}` }],
        })
      }
      for await (const message of stream.up) {
        if (message.message?.case === 'error') {
          const { code, message: text, details } = message.message.value
          throw new GantryError(Object.hasOwn(GRPC_STATUS, code) ? (code as ErrorCode) : 'Internal', text, { details })
        }
        yield message
      }
    } finally {
      timer.cancel()
      call.signal.removeEventListener('abort', abort)
      this.#pending.delete(streamId)
      stream.up.close()
      stream.down.close()
      tell({ message: { case: 'closeStream', value: streamId } })
    }
  }

  /**
   * The node's end: joins the call that a node has opened with the request it answers. `signal`: of that call, aborted
   * when it broke before the node had ended it.
   */
  async *serve(
    node: string,
    messages: AsyncIterable<StreamUp>,
    signal: AbortSignal,
  ): AsyncGenerator<Input<StreamDown>, void, undefined> {
    const incoming = messages[Symbol.asyncIterator]()
    const first = await incoming.next()
    const opening = first.done === true ? undefined : first.value.message
    const stream = opening?.case === 'opened' ? this.#pending.get(opening.value) : undefined
    if (stream === undefined || stream.node !== node || stream.opened)
      throw new GantryError('NotFound', 'this stream is no longer wanted')
    stream.opened = true
    // Runs until the node's side ends, which it does at the latest when this call has ended.
    void relay(incoming, stream.up, () =>
      signal.aborted ? new GantryError('Unavailable', `node ${node} was lost in the middle of the stream`) : undefined,
    ).finally(() => stream.down.close())
    yield* stream.down
  }

  /** A node's session ended: what it has not opened yet it never will. */
  abandon(node: string): void {
    for (const stream of this.#pending.values()) {
      if (stream.node === node && !stream.opened)
        stream.up.close(new GantryError('Unavailable', `node ${node} lost its session`))
    }
  }
}

async function feed(input: AsyncIterable<Input<StreamDown>>, down: Channel<Input<StreamDown>>): Promise<void> {
  for await (const message of input) {
    if (!down.push(message)) return
    await down.waitForRoom(IN_FLIGHT)
  }
}

/** `broken`: why messages have come to an end that is not the stream's own. */
async function relay(
  messages: AsyncIterator<StreamUp>,
  up: Channel<StreamUp>,
  broken: () => GantryError | undefined,
): Promise<void> {
  try {
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      if (!up.push(next.value)) {
        await messages.return?.()
        return
      }
      await up.waitForRoom(IN_FLIGHT)
    }
    up.close(broken())
  } catch (thrown) {
    up.close(GantryError.from(thrown, 'Unavailable'))
  }
}
