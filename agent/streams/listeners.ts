/** What listens in a network namespace, as the kernel lists it: /proc/PID/net/tcp and tcp6, proc_pid_net(5). */
import { readProcess } from '../../proto/base/process.ts'

export interface Listener {
  /** In full: "127.0.0.1", "0.0.0.0", "::", "::1" or another address. */
  readonly address: string
  readonly port: number
}

/** TCP_LISTEN of the kernel's include/net/tcp_states.h. */
const LISTEN = '0A'

/** Of the network namespace that the process is in; none if it has ended. */
export function listenersOf(pid: number): Listener[] {
  return ['net/tcp', 'net/tcp6'].flatMap((file) => parseListeners(readProcess(pid, file) ?? ''))
}

export function parseListeners(table: string): Listener[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local, , state] = line.trim().split(/\s+/)
      const [address, port] = local?.split(':') ?? []
      return state !== LISTEN || address === undefined || port === undefined
        ? []
        : [{ address: address.length === 8 ? ipv4(address) : ipv6(address), port: parseInt(port, 16) }]
    })
}

/**
 * Where a connection to localhost and a port would be taken: the way a program in the namespace would try, IPv4 first.
 * Undefined: nowhere.
 */
export function localAddress(listeners: readonly Listener[], port: number): string | undefined {
  const there = listeners.filter((listener) => listener.port === port).map(({ address }) => address)
  if (there.some((address) => address.startsWith('127.') || address === '0.0.0.0'))
    return there.find((address) => address.startsWith('127.')) ?? '127.0.0.1'
  if (there.some((address) => address === '::1' || address === '::')) return '::1'
  return there.find((address) => address.startsWith('::ffff:127.'))?.slice('::ffff:'.length) ?? there[0]
}

/** A word of the kernel's own byte order: on all machines that Node.js runs on, little endian. */
function bytesOf(words: string): number[] {
  return (words.match(/.{8}/g) ?? []).flatMap((word) =>
    (word.match(/../g) ?? []).reverse().map((byte) => parseInt(byte, 16)),
  )
}

function ipv4(words: string): string {
  return bytesOf(words).join('.')
}

function ipv6(words: string): string {
  const bytes = bytesOf(words)
  if (bytes.every((byte) => byte === 0)) return '::'
  if (bytes.slice(0, 15).every((byte) => byte === 0)) return `::${bytes[15]!.toString(16)}`
  if (bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255)
    return `::ffff:${bytes.slice(12).join('.')}`
  return Array.from({ length: 8 }, (_, at) => ((bytes[2 * at]! << 8) | bytes[2 * at + 1]!).toString(16)).join(':')
}
