/**
 * The node's way out, as the kernel lists it: /proc/net/route and ipv6_route. Made up by the kernel: there is no disk
 * to wait for.
 */
import { readProcess } from '../../../proto/base/process.ts'

/** RTF_UP and RTF_GATEWAY, route(8). */
const UP_GATEWAY = 0x3

/** The router of the default route, IPv4's if there is one; undefined without. */
export function defaultRouter(pid = process.pid): string | undefined {
  return routerIn4(readProcess(pid, 'net/route') ?? '') ?? routerIn6(readProcess(pid, 'net/ipv6_route') ?? '')
}

export function routerIn4(table: string): string | undefined {
  for (const line of table.split('\n').slice(1)) {
    const [, destination, gateway, flags] = line.split('\t')
    if (destination !== '00000000' || gateway === undefined || (parseInt(flags ?? '0', 16) & UP_GATEWAY) !== UP_GATEWAY)
      continue
    return (gateway.match(/../g) ?? [])
      .reverse()
      .map((byte) => parseInt(byte, 16))
      .join('.')
  }
  return undefined
}

export function routerIn6(table: string): string | undefined {
  for (const line of table.split('\n')) {
    const [destination, length, , , gateway, , , , flags] = line.trim().split(/\s+/)
    if (
      gateway === undefined ||
      !/^0+$/.test(destination!) ||
      length !== '00' ||
      (parseInt(flags ?? '0', 16) & UP_GATEWAY) !== UP_GATEWAY
    )
      continue
    if (gateway.startsWith('fe80')) continue // only on its link: the name of that would be needed too
    return (gateway.match(/.{4}/g) ?? []).map((part) => parseInt(part, 16).toString(16)).join(':')
  }
  return undefined
}
