/** VXLAN packets made by hand (RFC 7348), and a process that sends them from a network namespace. */
import { run } from '../../../../proto/base/command.ts'
import { readAddress } from '../../../../proto/base/cidr.ts'

export interface Forged {
  readonly vni: number
  /** The hardware addresses of the frame inside. */
  readonly toMac: string
  readonly fromMac?: string
  /** Addresses and port of the datagram inside. */
  readonly from: string
  readonly to: string
  readonly port: number
}

function bytesOf(address: string): Buffer {
  const { family, value } = readAddress(address)!
  return Buffer.from(value.toString(16).padStart(family === 4 ? 8 : 32, '0'), 'hex')
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

/** Of 16-bit words in one's complement: RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

function datagram(port: number): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt16BE(40_000, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.writeUInt16BE(bytes.length, 4)
  return bytes
}

function packet({ from, to, port }: Forged): { readonly type: number; readonly bytes: Buffer } {
  const content = datagram(port)
  if (from.includes(':')) {
    const header = Buffer.alloc(8)
    header.writeUInt8(0x60, 0)
    header.writeUInt16BE(content.length, 4)
    header.set([17, 64], 6)
    return { type: 0x86dd, bytes: Buffer.concat([header, bytesOf(from), bytesOf(to), content]) }
  }
  const header = Buffer.concat([Buffer.alloc(12), bytesOf(from), bytesOf(to)])
  header.writeUInt8(0x45, 0)
  header.writeUInt16BE(header.length + content.length, 2)
  header.set([64, 17], 8)
  header.writeUInt16BE(checksum(header), 10)
  return { type: 0x0800, bytes: Buffer.concat([header, content]) }
}

/** What a UDP datagram to the port of VXLAN has in it. */
export function forge(forged: Forged): Buffer {
  const { type, bytes } = packet(forged)
  return encapsulate(forged.vni, forged.toMac, forged.fromMac ?? '02:00:00:00:00:66', type, bytes)
}

/** A request or an answer that says where an address is: RFC 826. */
export function forgeArp(vni: number, toMac: string, fromMac: string, says: string, to: string): Buffer {
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, 2])
  return encapsulate(
    vni,
    toMac,
    fromMac,
    0x0806,
    Buffer.concat([head, macBytes(fromMac), bytesOf(says), macBytes(toMac), bytesOf(to)]),
  )
}

function encapsulate(vni: number, toMac: string, fromMac: string, type: number, bytes: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt8(0x08, 0)
  head.writeUIntBE(vni, 4, 3)
  const ethernet = Buffer.concat([macBytes(toMac), macBytes(fromMac), Buffer.alloc(2)])
  ethernet.writeUInt16BE(type, 12)
  return Buffer.concat([head, ethernet, bytes])
}

const SENDER = `
const { createSocket } = require('node:dgram')
const send = ({ address, hex, count, port }) =>
  new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    let left = count
    const next = () => (left-- > 0 ? socket.send(Buffer.from(hex, 'hex'), port, address, next) : socket.close())
    // A refusal by the node is one way not to arrive.
    socket.on('error', () => socket.close()).on('close', resolve)
    next()
  })
const all = async () => {
  for (const one of JSON.parse(process.argv[1])) await send(one)
}
void all()
`

export interface Datagrams {
  readonly address: string
  readonly content: Buffer
  readonly count?: number
  readonly port?: number
}

/** Sends them as an ordinary program would, one after another. `netns`: path of the namespace. */
export async function sendAll(netns: string, datagrams: readonly Datagrams[]): Promise<void> {
  const all = datagrams.map(({ address, content, count = 3, port = 8472 }) => ({
    address,
    hex: content.toString('hex'),
    count,
    port,
  }))
  await run('nsenter', [`--net=${netns}`, '--', process.execPath, '-e', SENDER, JSON.stringify(all)], {
    timeout: 15_000,
  })
}

/** Sends the one, as often. */
export function send(netns: string, address: string, content: Buffer, count = 3, port = 8472): Promise<void> {
  return sendAll(netns, [{ address, content, count, port }])
}

/** Counts datagrams by their ports where they arrive, before anything else looks at them. */
export class Arrivals {
  readonly #netns: string

  private constructor(netns: string) {
    this.#netns = netns
  }

  /** Counts from now on. */
  static async at(netns: string): Promise<Arrivals> {
    await run('nsenter', [
      `--net=${netns}`,
      '--',
      'nft',
      `
      table inet test_arrivals;
      delete table inet test_arrivals;
      table inet test_arrivals {
        set ports { type inet_service; flags dynamic; counter; }
        chain prerouting { type filter hook prerouting priority -450; meta l4proto udp update @ports { udp dport }; }
      }`,
    ])
    return new Arrivals(netns)
  }

  async count(port: number): Promise<number> {
    const { stdout } = await run('nsenter', [
      `--net=${this.#netns}`,
      '--',
      'nft',
      '-j',
      'list',
      'set',
      'inet',
      'test_arrivals',
      'ports',
    ])
    const { nftables } = JSON.parse(stdout) as {
      nftables: { set?: { elem?: { elem: { val: number; counter: { packets: number } } }[] } }[]
    }
    return (
      nftables.flatMap(({ set }) => set?.elem ?? []).find(({ elem }) => elem.val === port)?.elem.counter.packets ?? 0
    )
  }
}
