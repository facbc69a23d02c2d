/** Which addresses may be where traffic of the cluster goes to. */
import { readAddress, readCidr } from '../cidr.ts'
import type { Report } from './report.ts'

/** Addresses that mean something else on every machine (RFC 6890), by what they are. */
const SPECIAL = ([
  ['0.0.0.0/32', 'no address'], ['127.0.0.0/8', 'a loopback address'], ['169.254.0.0/16', 'a link-local address'], ['224.0.0.0/24', 'a link-local multicast address'],
  ['::/128', 'no address'], ['::1/128', 'a loopback address'], ['fe80::/10', 'a link-local address'], ['ff02::/16', 'a link-local multicast address'],
] as const).map(([cidr, what]) => ({ range: readCidr(cidr)!, what }))

/** Reports an address that a packet cannot be sent to from elsewhere; true if it is one that can. What is no address at all is reported, too. */
export function validateReachable(report: Report, path: string, text: string): boolean {
  const address = readAddress(text)
  if (address === undefined) {
    report.wrong(path, text, 'is not an IP address', 'write it as 10.0.0.1 or fd00::1')
    return false
  }
  const special = SPECIAL.find(({ range }) => range.family === address.family && range.first <= address.value && address.value <= range.last)
  if (special !== undefined) report.wrong(path, text, `is ${special.what}`, 'give one that every node reaches')
  return special === undefined
}
