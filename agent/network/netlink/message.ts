/**
 * Messages to the kernel as netlink(7) has them: a header, a fixed part by the message's type, and attributes, each
 * with its length. Numbers stand in the machine's own order.
 */
import { isIPv4 } from 'node:net'
import { endianness } from 'node:os'
import { readAddress } from '../../../proto/base/cidr.ts'
import { GantryError } from '../../../proto/base/errors.ts'

const LITTLE = endianness() === 'LE'
const HEADER = 16
const ALIGNMENT = 4

const NLM_F_REQUEST = 0x1
export const NLM_F_ACK = 0x4
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400

export function u8(value: number): Buffer {
  return Buffer.from([value])
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  if (LITTLE) bytes.writeUInt16LE(value)
  else bytes.writeUInt16BE(value)
  return bytes
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  if (LITTLE) bytes.writeUInt32LE(value)
  else bytes.writeUInt32BE(value)
  return bytes
}

/** Ended by a zero, as names of things are. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

/** Six bytes, written "02:67:…". InvalidArgument. */
export function hardwareAddress(value: string): Buffer {
  if (!/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(value))
    throw new GantryError('InvalidArgument', `${JSON.stringify(value.slice(0, 120))} is no hardware address`)
  return Buffer.from(value.replaceAll(':', ''), 'hex')
}

/** 4 or 16 bytes. InvalidArgument. */
export function ipAddress(value: string): Buffer {
  const address = readAddress(value)
  if (address === undefined)
    throw new GantryError('InvalidArgument', `${JSON.stringify(value.slice(0, 120))} is no address`)
  return Buffer.from(address.value.toString(16).padStart(isIPv4(value) ? 8 : 32, '0'), 'hex')
}

export function attribute(type: number, ...payload: readonly Buffer[]): Buffer {
  const value = Buffer.concat(payload)
  return padded(Buffer.concat([u16(4 + value.length), u16(type), value]))
}

/** `flags`: beside NLM_F_REQUEST. */
export function message(type: number, flags: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return padded(Buffer.concat([u32(HEADER + body.length), u16(type), u16(NLM_F_REQUEST | flags), u32(0), u32(0), body]))
}

/** Where the fixed part of a message begins. */
export const FIXED_PART = HEADER

/** With zeros at its end, so that what comes next begins where it has to. */
export function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % ALIGNMENT
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(ALIGNMENT - rest)])
}
