/**
 * A command's client over WebSocket: channels 0 to 4 are stdin, stdout, stderr, how it ended, and the terminal's size.
 */
import type { WebSocket } from 'ws'
import { GantryError } from '../../../proto/base/errors.ts'
import { Channel } from '../../../proto/base/channel.ts'
import type { ExecInput, JsonObject } from '../../../proto/gen/types.ts'
import { Channels, type ChannelMessage, type ChannelProtocol } from './channels.ts'
import {
  failureText,
  MAX_PENDING_INPUTS,
  pieces,
  resizeInputs,
  type CommandClient,
  type JoinedStreams,
} from './command-client.ts'
import { closed } from './web-socket.ts'

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const
/** RFC 6455, section 7.4.1: normal closure. */
const NORMAL = 1000

export class WebSocketCommand implements CommandClient {
  readonly inputs = new Channel<ExecInput>()
  readonly #socket: WebSocket
  readonly #channels: Channels
  readonly #protocol: ChannelProtocol
  readonly #joined: JoinedStreams

  constructor(socket: WebSocket, protocol: ChannelProtocol, joined: JoinedStreams) {
    this.#socket = socket
    this.#protocol = protocol
    this.#joined = joined
    this.#channels = new Channels(socket, protocol)
    this.#channels.onMessage((message) => this.#receive(message))
    socket.once('close', () => this.inputs.fail(new GantryError('Cancelled', 'the caller went away')))
    // Clients take an empty message for the word that the connection stands.
    void this.#channels.send(
      joined.stdout ? CHANNEL.stdout : joined.stderr ? CHANNEL.stderr : CHANNEL.error,
      Buffer.alloc(0),
    )
  }

  async write(stream: 'stdout' | 'stderr', data: Uint8Array): Promise<void> {
    if (this.#joined[stream]) await this.#channels.send(CHANNEL[stream], data)
  }

  async finish(status: JsonObject): Promise<void> {
    const text = this.#protocol.status ? JSON.stringify(status) : failureText(status)
    if (text !== '') await this.#channels.send(CHANNEL.error, Buffer.from(text))
    // What the client has still to say must not keep its answer to the close from being read.
    this.inputs.fail(new GantryError('Cancelled', 'the command has ended'))
    this.#socket.close(NORMAL)
    await closed(this.#socket)
  }

  #receive(message: ChannelMessage): void {
    const { inputs } = this
    if (message.is === 'close') {
      if (message.channel === CHANNEL.stdin && this.#joined.stdin)
        inputs.push({ input: { case: 'stdinClosed', value: true } })
      return
    }
    try {
      for (const input of this.#read(message.channel, message.data)) inputs.push(input)
    } catch (thrown) {
      return inputs.fail(thrown)
    }
    if (inputs.length < MAX_PENDING_INPUTS) return
    this.#socket.pause()
    void inputs.waitForRoom(MAX_PENDING_INPUTS).then(() => this.#socket.resume())
  }

  #read(channel: number, data: Buffer): ExecInput[] {
    if (channel === CHANNEL.stdin && this.#joined.stdin)
      return pieces(data).map((value) => ({ input: { case: 'stdin', value } }))
    return channel === CHANNEL.resize && this.#joined.tty ? resizeInputs(data.toString()) : []
  }
}
