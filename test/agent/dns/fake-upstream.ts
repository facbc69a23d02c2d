/**
 * A name server that a test scripts: what it is asked is kept, what it says the test decides. UDP and TCP at one port
 * of 127.0.0.1.
 */
import * as dnsPacket from 'dns-packet'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, type Socket as TcpSocket } from 'node:net'
import { frame, FrameReader } from '../../../agent/dns/tcp-frames.ts'

export interface Asked {
  readonly query: dnsPacket.DecodedPacket
  readonly name: string
  readonly type: string
  readonly transport: 'udp' | 'tcp'
  readonly from: { readonly address: string; readonly port: number }
  /** A response with this query's id and question. */
  reply(response: Partial<dnsPacket.Packet> & { readonly rcode?: number; readonly truncated?: boolean }): void
  /** These bytes. */
  send(bytes: Buffer): void
}

export class FakeUpstream {
  readonly asked: Asked[] = []
  readonly #udp: Socket
  readonly #tcp: Server
  readonly #connections = new Set<TcpSocket>()
  answer: (asked: Asked) => void = () => undefined

  private constructor(udp: Socket, tcp: Server) {
    this.#udp = udp
    this.#tcp = tcp
  }

  static async start(): Promise<FakeUpstream> {
    const udp = createSocket('udp4')
    udp.bind(0, '127.0.0.1')
    await once(udp, 'listening')
    const tcp = createServer()
    tcp.listen(udp.address().port, '127.0.0.1')
    await once(tcp, 'listening')
    const upstream = new FakeUpstream(udp, tcp)
    udp.on('message', (packet, from) =>
      upstream.#take(packet, 'udp', from, (bytes) => udp.send(bytes, from.port, from.address)),
    )
    tcp.on('connection', (connection) => {
      upstream.#connections.add(connection)
      connection.on('error', () => connection.destroy())
      const frames = new FrameReader()
      connection.on('data', (chunk: Buffer) => {
        for (const packet of frames.take(chunk))
          upstream.#take(packet, 'tcp', { address: '127.0.0.1', port: connection.remotePort! }, (bytes) =>
            connection.write(frame(bytes)),
          )
      })
    })
    return upstream
  }

  get address(): string {
    return `127.0.0.1:${this.#udp.address().port}`
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    await Promise.all([
      new Promise<void>((resolve) => this.#udp.close(resolve)),
      new Promise((resolve) => this.#tcp.close(resolve)),
    ])
  }

  /** Questions for this name, without probes. */
  askedFor(name: string): Asked[] {
    return this.asked.filter((asked) => asked.name === name)
  }

  #take(
    packet: Buffer,
    transport: 'udp' | 'tcp',
    from: { address: string; port: number },
    send: (bytes: Buffer) => void,
  ): void {
    const query = dnsPacket.decode(packet)
    const [question] = query.questions!
    const asked: Asked = {
      query,
      transport,
      from,
      send,
      name: question!.name,
      type: question!.type,
      reply: ({ rcode = 0, truncated = false, ...response }) =>
        send(
          dnsPacket.encode({
            type: 'response',
            id: query.id!,
            flags: dnsPacket.RECURSION_AVAILABLE | (truncated ? dnsPacket.TRUNCATED_RESPONSE : 0) | rcode,
            questions: query.questions!,
            ...response,
          }),
        ),
    }
    this.asked.push(asked)
    this.answer(asked)
  }
}

/** An answer with one address. */
export function address(name: string, data: string, ttl = 60): Partial<dnsPacket.Packet> {
  return { answers: [{ type: 'A', name, ttl, data }] }
}

/** What stands beside an absence. */
export function soa(minimum: number, ttl = 3600): Partial<dnsPacket.Packet> {
  return {
    authorities: [
      {
        type: 'SOA',
        name: 'example.com',
        ttl,
        data: { mname: 'ns.example.com', rname: 'h.example.com', serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
      },
    ],
  }
}
