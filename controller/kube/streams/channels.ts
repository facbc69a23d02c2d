/**
 * Kubernetes' channels: streams multiplexed in WebSocket messages, the first byte of each its channel.
 * https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets
 */
import type { RawData, WebSocket } from 'ws'

export interface ChannelProtocol {
  readonly name: string
  /** Messages are text: a digit for the channel, then base64. */
  readonly base64: boolean
  /** How a command ended is told as a Status; otherwise only a failure, in words. */
  readonly status: boolean
  /** The client can close a channel: message 255, then the channel. */
  readonly closes: boolean
}

/** Preferred first. */
export const CHANNEL_PROTOCOLS: readonly ChannelProtocol[] = [
  { name: 'v5.channel.k8s.io', base64: false, status: true, closes: true },
  { name: 'v4.channel.k8s.io', base64: false, status: true, closes: false },
  { name: 'v4.base64.channel.k8s.io', base64: true, status: true, closes: false },
  { name: 'channel.k8s.io', base64: false, status: false, closes: false },
  { name: 'base64.channel.k8s.io', base64: true, status: false, closes: false },
  { name: '', base64: false, status: false, closes: false },
]

const CLOSE = 255

export type ChannelMessage =
  | { readonly is: 'data'; readonly channel: number; readonly data: Buffer }
  | { readonly is: 'close'; readonly channel: number }

export class Channels {
  readonly #socket: WebSocket
  readonly #protocol: ChannelProtocol

  constructor(socket: WebSocket, protocol: ChannelProtocol) {
    this.#socket = socket
    this.#protocol = protocol
  }

  /** Messages without a channel mean nothing and are passed over. */
  onMessage(listener: (message: ChannelMessage) => void): void {
    this.#socket.on('message', (raw: RawData) => {
      const message = this.#parse(bytesOf(raw))
      if (message !== undefined) listener(message)
    })
  }

  /** Resolves when the connection has taken it; what is sent to a closed one is dropped. */
  send(channel: number, data: Uint8Array): Promise<void> {
    const message = this.#protocol.base64
      ? `${channel}${Buffer.from(data).toString('base64')}`
      : Buffer.concat([Buffer.from([channel]), data])
    return new Promise((resolve) => this.#socket.send(message, () => resolve()))
  }

  #parse(message: Buffer): ChannelMessage | undefined {
    const [first] = message
    if (first === undefined) return undefined
    if (this.#protocol.base64)
      return { is: 'data', channel: first - 0x30, data: Buffer.from(message.toString('latin1', 1), 'base64') }
    if (first === CLOSE && this.#protocol.closes)
      return message[1] === undefined ? undefined : { is: 'close', channel: message[1] }
    return { is: 'data', channel: first, data: message.subarray(1) }
  }
}

function bytesOf(raw: RawData): Buffer {
  return Array.isArray(raw) ? Buffer.concat(raw) : raw instanceof ArrayBuffer ? Buffer.from(raw) : raw
}
