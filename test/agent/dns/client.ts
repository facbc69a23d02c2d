/** A client that sends whatever bytes, and waits for the answer with the same id. */
import * as dnsPacket from 'dns-packet'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { frame, FrameReader } from '../../../agent/dns/tcp-frames.ts'

export type Answered = dnsPacket.DecodedPacket & { readonly rcode: string; readonly bytes: Buffer }

export function query(name: string, type = 'A', more: Partial<dnsPacket.Packet> = {}): Buffer {
  return dnsPacket.encode({
    type: 'query',
    id: Math.floor(Math.random() * 65_536),
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ name, type: type as 'A' }],
    ...more,
  })
}

export function edns(udpPayloadSize: number, version = 0): Partial<dnsPacket.Packet> {
  return {
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize,
        ednsVersion: version,
        extendedRcode: 0,
        flags: 0,
        flag_do: false,
        options: [],
      } as unknown as dnsPacket.Answer,
    ],
  }
}

export class DnsClient {
  readonly #socket: Socket
  readonly #port: number
  readonly #waiting = new Map<number, (packet: Buffer) => void>()
  /** Every packet that came. */
  received = 0

  private constructor(socket: Socket, port: number) {
    this.#socket = socket
    this.#port = port
    socket.on('message', (packet) => {
      this.received++
      this.#waiting.get(packet.readUInt16BE(0))?.(packet)
    })
  }

  /** `from`: another address of the loopback network is another client. */
  static async open(port: number, from = '127.0.0.1'): Promise<DnsClient> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
    socket.bind(0, from)
    await once(socket, 'listening')
    return new DnsClient(socket, port)
  }

  send(bytes: Buffer): void {
    this.#socket.send(bytes, this.#port, '127.0.0.1')
  }

  async raw(bytes: Buffer): Promise<Buffer> {
    const answer = new Promise<Buffer>((resolve) => this.#waiting.set(bytes.readUInt16BE(0), resolve))
    this.send(bytes)
    return answer
  }

  async ask(name: string, type = 'A', more: Partial<dnsPacket.Packet> = {}): Promise<Answered> {
    const bytes = await this.raw(query(name, type, more))
    return { ...dnsPacket.decode(bytes), bytes } as unknown as Answered
  }

  close(): void {
    this.#socket.close()
  }
}

/** All messages over one connection at once; the answers in the order in which they come. */
export function overTcp(port: number, messages: readonly Buffer[]): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const frames = new FrameReader()
    const answers: Buffer[] = []
    socket.on('data', (chunk: Buffer) => answers.push(...frames.take(chunk)))
    socket.on('error', reject)
    socket.on('close', () => resolve(answers))
    socket.end(Buffer.concat(messages.map(frame)))
  })
}

/** Addresses of an answer, in order. */
export function addresses({ answers = [] }: dnsPacket.DecodedPacket): string[] {
  return answers.flatMap((record) => (record.type === 'A' || record.type === 'AAAA' ? [record.data] : []))
}
