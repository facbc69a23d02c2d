/** A SPDY/3.1 client, as much of one as Kubernetes' is. */
import type { Duplex } from 'node:stream'
import { FrameReader, FrameWriter, type Frame } from '../../../../controller/kube/streams/spdy/frames.ts'
import { eventually } from '../../../eventually.ts'

interface ClientStream {
  received: Buffer[]
  replied: boolean
  ended: boolean
  reset: number | undefined
}

export class SpdyClient {
  readonly #socket: Duplex
  readonly #writer = new FrameWriter()
  readonly #reader = new FrameReader()
  readonly #streams = new Map<number, ClientStream>()
  readonly pings: number[] = []
  goneAway = false
  closed = false
  #last = -1

  constructor(socket: Duplex, head: Buffer = Buffer.alloc(0)) {
    this.#socket = socket
    const take = (bytes: Buffer): void => {
      for (const frame of this.#reader.push(bytes)) this.#take(frame)
    }
    take(head)
    socket.on('data', take)
    socket.once('close', () => (this.closed = true))
  }

  /** The stream's id once it is answered. */
  async open(headers: Record<string, string>): Promise<number> {
    const id = (this.#last += 2)
    this.#streams.set(id, { received: [], replied: false, ended: false, reset: undefined })
    this.raw(this.#writer.synStream(id, new Map(Object.entries(headers))))
    await eventually(() => this.#streams.get(id)!.replied || this.#streams.get(id)!.reset !== undefined)
    return id
  }

  send(id: number, data: Uint8Array | string, fin = false): boolean {
    return this.raw(this.#writer.data(id, Buffer.from(data as string), fin))
  }

  reset(id: number): void {
    this.raw(this.#writer.rstStream(id, 5))
  }

  ping(id: number): void {
    this.raw(this.#writer.ping(id))
  }

  close(): void {
    this.#socket.destroy()
  }

  raw(bytes: Buffer): boolean {
    return this.#socket.write(bytes)
  }

  text(id: number): string {
    return Buffer.concat(this.#streams.get(id)!.received).toString()
  }

  ended(id: number): boolean {
    return this.#streams.get(id)!.ended
  }

  wasReset(id: number): number | undefined {
    return this.#streams.get(id)!.reset
  }

  #take(frame: Frame): void {
    if (frame.is === 'ping') this.pings.push(frame.id)
    else if (frame.is === 'goaway') this.goneAway = true
    else {
      const stream = this.#streams.get(frame.streamId)
      if (stream === undefined) return
      if (frame.is === 'syn-reply') stream.replied = true
      if (frame.is === 'rst-stream') stream.reset = frame.status
      if (frame.is === 'data') stream.received.push(frame.data)
      if (frame.is === 'data' && frame.fin) stream.ended = true
    }
  }
}
