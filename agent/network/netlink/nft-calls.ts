/**
 * What nft(8) would tell the kernel (linux/netfilter/nf_tables.h) to change elements of sets, in one transaction, as a
 * call that needs no program. Anything else is refused (InvalidArgument).
 *
 *   add element inet TABLE SET { KEY }          KEY: words with " . " between them, each an interface in quotes,
 *   delete element inet TABLE SET { KEY }            a hardware address, or an address
 */
import { isIP } from 'node:net'
import { GantryError } from '../../../proto/base/errors.ts'
import type { NftText } from '../../host/program-text.ts'
import type { SystemCall } from '../../host/system-calls.ts'
import { attribute, hardwareAddress, ipAddress, message, NLM_F_ACK, NLM_F_CREATE, padded, text, u8 } from './message.ts'

const NETLINK_NETFILTER = 12
const NFNL_SUBSYS_NFTABLES = 10
const NFNL_MSG_BATCH_BEGIN = 16
const NFNL_MSG_BATCH_END = 17
const NFT_MSG_NEWSETELEM = 12
const NFT_MSG_DELSETELEM = 14
const NFPROTO_UNSPEC = 0
const NFPROTO_INET = 1
const NFTA_SET_ELEM_LIST_TABLE = 1
const NFTA_SET_ELEM_LIST_SET = 2
const NFTA_SET_ELEM_LIST_ELEMENTS = 3
const NFTA_LIST_ELEM = 1
const NFTA_SET_ELEM_KEY = 1
const NFTA_DATA_VALUE = 1
const NLA_F_NESTED = 0x8000
/** Bytes of an interface's name, with the zeros behind it. */
const IFNAMSIZ = 16

const COMMAND = /^(add|delete) element inet (\w+) (\w+) \{ (.+) \}$/

/**
 * Everything or nothing. The kernel answers each change that it refuses, in their order; of the others only the last
 * asks for an answer: the socket has no room for those to some hundred changes.
 */
export function nftCall({ text: commands }: NftText): SystemCall {
  const changes = commands.split('\n').filter((line) => line !== '')
  const last = changes.length - 1
  return {
    call: 'netlink',
    protocol: NETLINK_NETFILTER,
    messages: Math.min(1, changes.length),
    bytes: Buffer.concat([
      message(NFNL_MSG_BATCH_BEGIN, 0, fixed(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES)),
      ...changes.map((line, index) => change(line, index === last ? NLM_F_ACK : 0)),
      message(NFNL_MSG_BATCH_END, 0, fixed(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES)),
    ]),
  }
}

/** `acknowledgement`: NLM_F_ACK, or 0. */
function change(line: string, acknowledgement: number): Buffer {
  const [, verb, table, set, key] = COMMAND.exec(line) ?? []
  if (key === undefined) throw refuse(line)
  const value = Buffer.concat(key.split(' . ').map((word) => padded(keyPart(word, line))))
  const element = nested(NFTA_LIST_ELEM, nested(NFTA_SET_ELEM_KEY, attribute(NFTA_DATA_VALUE, value)))
  const [type, flags] = verb === 'add' ? [NFT_MSG_NEWSETELEM, NLM_F_CREATE] : [NFT_MSG_DELSETELEM, 0]
  return message(
    (NFNL_SUBSYS_NFTABLES << 8) | type,
    acknowledgement | flags,
    fixed(NFPROTO_INET, 0),
    attribute(NFTA_SET_ELEM_LIST_TABLE, text(table!)),
    attribute(NFTA_SET_ELEM_LIST_SET, text(set!)),
    nested(NFTA_SET_ELEM_LIST_ELEMENTS, element),
  )
}

function keyPart(word: string, line: string): Buffer {
  if (isIP(word) !== 0) return ipAddress(word)
  const [, device] = /^"([^"]{1,15})"$/.exec(word) ?? []
  if (device !== undefined) return Buffer.concat([Buffer.from(device), Buffer.alloc(IFNAMSIZ - device.length)])
  if (!/^[0-9a-f:]{17}$/.test(word)) throw refuse(line)
  return hardwareAddress(word)
}

/** Of each message: family, version, and a number in the order of the network. */
function fixed(family: number, subsystem: number): Buffer {
  return Buffer.concat([u8(family), u8(0), u8(subsystem >> 8), u8(subsystem & 0xff)])
}

function nested(type: number, ...payload: readonly Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, ...payload)
}

function refuse(line: string): GantryError {
  return new GantryError('InvalidArgument', `"${line.slice(0, 200)}" is no command that is known here`)
}
