/**
 * A node's session whose messages are lost, doubled or swapped on the way. The session numbers what it tells, and a gap
 * means that it begins anew. TCP loses nothing without losing the connection, so a lost message ends the session soon
 * after.
 */
import type { Clock } from '../../../proto/base/clock.ts'
import { Channel } from '../../../proto/base/channel.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Client, Connection } from '../../../proto/rpc/contract.ts'
import type { ControllerMessage, Services } from '../../../proto/gen/types.ts'
import { between } from './world.ts'

/** Shares of all messages. */
export interface Disorder {
  lost: number
  doubled: number
  swapped: number
}

/** Milliseconds at most from the loss of a message to the end of its session, and that a swapped one waits. */
const LOST_FOUND_OUT = 1_500
const SWAPPED = 50

export interface DisorderParts {
  readonly disorder: Disorder
  readonly clock: Clock
  readonly random: Random
  /** Sees each message as it arrives. */
  readonly received: (message: ControllerMessage) => void
}

export function disorderly(connection: Connection, parts: DisorderParts): Connection {
  const nodes = connection.client('Nodes')
  const session: Client<Services['Nodes']>['session'] = (requests, options) =>
    shuffled(nodes.session(requests, options), parts)
  return {
    ...connection,
    address: connection.address,
    ready: (timeout, signal) => connection.ready(timeout, signal),
    onLost: (told) => connection.onLost(told),
    close: () => connection.close(),
    client: (service) =>
      (service === 'Nodes' ? { ...nodes, session } : connection.client(service)) as ReturnType<
        typeof connection.client<typeof service>
      >,
  }
}

async function* shuffled(
  messages: AsyncIterable<ControllerMessage>,
  { disorder, clock, random, received }: DisorderParts,
): AsyncGenerator<ControllerMessage, void, undefined> {
  const out = new Channel<ControllerMessage>()
  let held: { readonly message: ControllerMessage } | undefined
  const release = (): void => {
    if (held !== undefined) out.push(held.message)
    held = undefined
  }
  const take = (message: ControllerMessage): void => {
    received(message)
    const { lost, doubled, swapped } = disorder
    const chance = lost + doubled + swapped > 0 ? random.next() : 1
    if (chance < lost)
      return void clock.after(between(random, 0, LOST_FOUND_OUT), () =>
        out.fail(new GantryError('Unavailable', 'the connection is lost')),
      )
    if (chance < lost + doubled) out.push(message)
    else if (held === undefined && chance < lost + doubled + swapped) {
      held = { message }
      return void clock.after(SWAPPED, release)
    }
    out.push(message)
    release()
  }
  const iterator = messages[Symbol.asyncIterator]()
  const follow = async (): Promise<void> => {
    try {
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) take(next.value)
      release()
      out.close()
    } catch (thrown) {
      out.close(thrown)
    }
  }
  void follow()
  try {
    yield* out
  } finally {
    void iterator.return?.()
  }
}
