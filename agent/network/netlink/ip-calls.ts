/**
 * What ip(8) would tell the kernel (rtnetlink(7)) for the commands that a pod's link needs, as calls that need no
 * program. Commands that are not among these are refused (InvalidArgument).
 *
 *   link set DEVICE [up] [mtu N] [address MAC] [nomaster] [addrgenmode none]
 *   link add DEVICE address MAC mtu N type veth peer name PEER mtu N netns PATH
 *   link del DEVICE
 *   addr add|replace ADDRESS/LENGTH dev DEVICE [nodad]
 *   neigh replace ADDRESS lladdr MAC dev DEVICE nud permanent
 *   route add|replace ADDRESS/LENGTH|default [via ADDRESS] dev DEVICE
 */
import { familyOf } from '../../../proto/base/cidr.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { IpText } from '../../host/program-text.ts'
import { HELD_DESCRIPTOR, type SystemCall } from '../../host/system-calls.ts'
import {
  attribute,
  FIXED_PART,
  hardwareAddress,
  ipAddress,
  message,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  text,
  u16,
  u32,
  u8,
} from './message.ts'

/** Of linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h and neighbour.h. */
const NETLINK_ROUTE = 0
const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_NEWADDR = 20
const RTM_NEWROUTE = 24
const RTM_NEWNEIGH = 28
const IFLA_ADDRESS = 1
const IFLA_IFNAME = 3
const IFLA_MTU = 4
const IFLA_MASTER = 10
const IFLA_LINKINFO = 18
const IFLA_AF_SPEC = 26
const IFLA_NET_NS_FD = 28
const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const VETH_INFO_PEER = 1
const IFLA_INET6_ADDR_GEN_MODE = 8
const IN6_ADDR_GEN_MODE_NONE = 1
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_F_NODAD = 0x2
const RTA_DST = 1
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RT_TABLE_MAIN = 254
const RTPROT_BOOT = 3
const RT_SCOPE_UNIVERSE = 0
const RT_SCOPE_LINK = 253
const RTN_UNICAST = 1
const NDA_DST = 1
const NDA_LLADDR = 2
const NUD_PERMANENT = 0x80
const IFF_UP = 0x1
const AF_UNSPEC = 0
const AF_INET6 = 10
const FAMILIES = { 4: 2, 6: AF_INET6 } as const
const VERBS: Readonly<Record<string, number>> = {
  add: NLM_F_CREATE | NLM_F_EXCL,
  replace: NLM_F_CREATE | NLM_F_REPLACE,
}

export function ipCalls({ text: batch }: IpText): SystemCall[] {
  return batch
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const words = new Words(line)
      const calls = command(words)
      words.end()
      return calls
    })
}

function command(words: Words): SystemCall[] {
  const object = words.next()
  const verb = words.next()
  switch (`${object} ${verb}`) {
    case 'link set':
      return [setLink(words)]
    case 'link add':
      return addVeth(words)
    case 'link del':
      return [call(message(RTM_DELLINK, NLM_F_ACK, link(), name(words.next())))]
    case 'addr add':
    case 'addr replace':
      return [addAddress(words, VERBS[verb]!)]
    case 'neigh replace':
      return [addNeighbor(words, VERBS[verb]!)]
    case 'route add':
    case 'route replace':
      return [addRoute(words, VERBS[verb]!)]
    default:
      throw words.refuse()
  }
}

function setLink(words: Words): SystemCall {
  const attributes = [name(words.next())]
  let flags = 0
  while (words.left) {
    const word = words.next()
    switch (word) {
      case 'up':
        flags = IFF_UP
        break
      case 'mtu':
        attributes.push(attribute(IFLA_MTU, u32(words.number())))
        break
      case 'address':
        attributes.push(attribute(IFLA_ADDRESS, hardwareAddress(words.next())))
        break
      case 'nomaster':
        attributes.push(attribute(IFLA_MASTER, u32(0)))
        break
      case 'addrgenmode':
        words.expect('none')
        attributes.push(
          attribute(IFLA_AF_SPEC, attribute(AF_INET6, attribute(IFLA_INET6_ADDR_GEN_MODE, u8(IN6_ADDR_GEN_MODE_NONE)))),
        )
        break
      default:
        throw words.refuse()
    }
  }
  return call(message(RTM_NEWLINK, NLM_F_ACK, link(flags), ...attributes))
}

function addVeth(words: Words): SystemCall[] {
  const device = name(words.next())
  words.expect('address')
  const address = attribute(IFLA_ADDRESS, hardwareAddress(words.next()))
  words.expect('mtu')
  const mtu = attribute(IFLA_MTU, u32(words.number()))
  words.expect('type', 'veth', 'peer', 'name')
  const peer = [link(), name(words.next())]
  words.expect('mtu')
  peer.push(attribute(IFLA_MTU, u32(words.number())))
  words.expect('netns')
  const path = words.next()
  peer.push(attribute(IFLA_NET_NS_FD, u32(HELD_DESCRIPTOR)))
  const kind = attribute(IFLA_INFO_KIND, text('veth'))
  const info = attribute(IFLA_LINKINFO, kind, attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, ...peer)))
  return [
    { call: 'hold', path },
    call(message(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, link(), device, address, mtu, info)),
  ]
}

function addAddress(words: Words, flags: number): SystemCall {
  const { family, length, bytes } = words.prefix()
  words.expect('dev')
  const device = words.next()
  const isUnique = words.left && words.expect('nodad')
  const fixed = [u8(family), u8(length), u8(isUnique ? IFA_F_NODAD : 0), u8(RT_SCOPE_UNIVERSE)]
  const parts = [attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)]
  return call(message(RTM_NEWADDR, NLM_F_ACK | flags, ...fixed, u32(0), ...parts), { name: device, at: FIXED_PART + 4 })
}

function addNeighbor(words: Words, flags: number): SystemCall {
  const { family, bytes } = words.address()
  words.expect('lladdr')
  const lladdr = hardwareAddress(words.next())
  words.expect('dev')
  const device = words.next()
  words.expect('nud', 'permanent')
  const fixed = [u8(family), u8(0), u16(0), u32(0), u16(NUD_PERMANENT), u8(0), u8(0)]
  const parts = [attribute(NDA_DST, bytes), attribute(NDA_LLADDR, lladdr)]
  return call(message(RTM_NEWNEIGH, NLM_F_ACK | flags, ...fixed, ...parts), { name: device, at: FIXED_PART + 4 })
}

function addRoute(words: Words, flags: number): SystemCall {
  const destination = words.takes('default') ? undefined : words.prefix()
  const gateway = words.takes('via') ? words.address() : undefined
  const known = destination ?? gateway
  if (known === undefined) throw words.refuse()
  words.expect('dev')
  const device = words.next()
  const head = message(
    RTM_NEWROUTE,
    NLM_F_ACK | flags,
    ...[known.family, destination?.length ?? 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT].map(u8),
    u8(gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE),
    u8(RTN_UNICAST),
    u32(0),
    // The first attribute, so that its place is known.
    attribute(RTA_OIF, u32(0)),
    ...(destination === undefined ? [] : [attribute(RTA_DST, destination.bytes)]),
    ...(gateway === undefined ? [] : [attribute(RTA_GATEWAY, gateway.bytes)]),
  )
  return call(head, { name: device, at: FIXED_PART + 12 + 4 })
}

/** The fixed part of messages about links, which are named by an attribute. */
function link(flags = 0): Buffer {
  return Buffer.concat([u8(AF_UNSPEC), u8(0), u16(0), u32(0), u32(flags), u32(flags)])
}

/** Of a device: 15 characters at most. */
function name(device: string): Buffer {
  if (device.length > 15) throw new GantryError('InvalidArgument', `${JSON.stringify(device)} cannot name a device`)
  return attribute(IFLA_IFNAME, text(device))
}

function call(bytes: Buffer, device?: { readonly name: string; readonly at: number }): SystemCall {
  return { call: 'netlink', protocol: NETLINK_ROUTE, messages: 1, bytes, device }
}

interface Prefix {
  readonly family: number
  readonly length: number
  readonly bytes: Buffer
}

/** A command's words, one after the other. */
class Words {
  readonly #line: string
  readonly #words: readonly string[]
  #at = 0

  constructor(line: string) {
    this.#line = line
    this.#words = line.split(' ')
  }

  get left(): boolean {
    return this.#at < this.#words.length
  }

  next(): string {
    const word = this.#words[this.#at++]
    if (word === undefined || word === '') throw this.refuse()
    return word
  }

  /** Whether the next word is this one, which is passed over then. */
  takes(word: string): boolean {
    if (this.#words[this.#at] !== word) return false
    this.#at++
    return true
  }

  expect(...expected: readonly string[]): true {
    for (const word of expected) if (!this.takes(word)) throw this.refuse()
    return true
  }

  number(): number {
    const word = this.next()
    if (!/^\d{1,9}$/.test(word)) throw this.refuse()
    return Number(word)
  }

  address(): Prefix {
    const address = this.next()
    const bytes = ipAddress(address)
    return { family: FAMILIES[familyOf(address)], length: 8 * bytes.length, bytes }
  }

  prefix(): Prefix {
    const [address = '', length = '', ...rest] = this.next().split('/')
    const bytes = ipAddress(address)
    if (rest.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > 8 * bytes.length) throw this.refuse()
    return { family: FAMILIES[familyOf(address)], length: Number(length), bytes }
  }

  end(): void {
    if (this.left) throw this.refuse()
  }

  refuse(): GantryError {
    return new GantryError('InvalidArgument', `"${this.#line.slice(0, 200)}" is no command that is known here`)
  }
}
