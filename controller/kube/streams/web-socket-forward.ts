/**
 * Forwarded connections over WebSocket channels: two for each port asked for, data and errors, which begin with the
 * port's number. One connection a port.
 */
import type { WebSocket } from 'ws'
import { GantryError } from '../../../proto/base/errors.ts'
import { Channel } from '../../../proto/base/channel.ts'
import { Channels, type ChannelProtocol } from './channels.ts'
import { MAX_PENDING_INPUTS } from './command-client.ts'
import type { ForwardedConnection } from './forwarding.ts'
import { badRequest } from './pod-target.ts'

/** As many as have a channel each. */
const PORTS_LIMIT = 100

/** From the query: `ports`, several times or with commas. 400 if there is none, or one that is no port. */
export function askedPorts(query: URLSearchParams): number[] {
  const ports = [...query.getAll('ports'), ...query.getAll('port')].flatMap((text) => text.split(','))
  if (ports.length === 0) throw badRequest('query parameter "ports" is required')
  if (ports.length > PORTS_LIMIT)
    throw badRequest(`query parameter "ports": ${ports.length} are more than ${PORTS_LIMIT}`)
  return ports.map((text) => {
    const port = Number(text)
    if (!/^\d+$/.test(text) || port < 1 || port > 65_535)
      throw badRequest(`query parameter "ports": "${text}" is no port: give numbers from 1 to 65535`)
    return port
  })
}

export function forwardedConnections(
  socket: WebSocket,
  protocol: ChannelProtocol,
  ports: readonly number[],
): ForwardedConnection[] {
  const channels = new Channels(socket, protocol)
  const gone = new AbortController()
  const incoming = ports.map(() => new Channel<Uint8Array>())
  socket.once('close', () => {
    const reason = new GantryError('Cancelled', 'the caller went away')
    for (const one of incoming) one.fail(reason)
    gone.abort(reason)
  })
  channels.onMessage((message) => {
    // Channels of errors are the server's.
    const one = message.is === 'data' && message.channel % 2 === 0 ? incoming[message.channel / 2] : undefined
    if (one === undefined || message.is !== 'data') return
    one.push(message.data)
    if (one.length < MAX_PENDING_INPUTS) return
    socket.pause()
    void one.waitForRoom(MAX_PENDING_INPUTS).then(() => socket.resume())
  })
  return ports.map((port, at) => {
    const [data, error] = [2 * at, 2 * at + 1]
    const number = Buffer.alloc(2)
    number.writeUInt16LE(port)
    void channels.send(data, number)
    void channels.send(error, number)
    // What is over takes nothing more, and holds up nothing.
    const close = (): void => incoming[at]!.close()
    return {
      port,
      incoming: incoming[at]!,
      signal: gone.signal,
      write: (bytes) => channels.send(data, bytes),
      end: () => Promise.resolve(close()),
      fail: async (text) => {
        close()
        await channels.send(error, Buffer.from(text))
      },
    }
  })
}
