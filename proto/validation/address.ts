/** Which addresses may be where traffic of the cluster goes to. */
import { readAddress, readCidr } from '../base/cidr.ts'
import { formats } from '../base/format.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import type { Report } from './report.ts'

/**
 * Addresses that mean something else on every machine, or nobody in particular (RFC 6890, RFC 5771, RFC 4291), by what
 * they are; the narrower first.
 */
const SPECIAL = (
  [
    ['0.0.0.0/32', 'no address'],
    ['0.0.0.0/8', 'an address of "this network"'],
    ['127.0.0.0/8', 'a loopback address'],
    ['169.254.0.0/16', 'a link-local address'],
    ['224.0.0.0/24', 'a link-local multicast address'],
    ['224.0.0.0/4', 'a multicast address'],
    ['255.255.255.255/32', 'the broadcast address'],
    ['240.0.0.0/4', 'a reserved address'],
    ['::/128', 'no address'],
    ['::1/128', 'a loopback address'],
    ['::ffff:0:0/96', 'an IPv4 address in IPv6'],
    ['fe80::/10', 'a link-local address'],
    ['ff02::/16', 'a link-local multicast address'],
    ['ff00::/8', 'a multicast address'],
  ] as const
).map(([cidr, what]) => ({ range: readCidr(cidr)!, what }))

/**
 * What an address is instead of one that traffic of the cluster may go to: "a loopback address"; undefined for one that
 * it may go to, and for what is no address.
 */
export function specialAddress(text: string): string | undefined {
  const address = readAddress(text)
  return address === undefined
    ? undefined
    : SPECIAL.find(
        ({ range }) => range.family === address.family && range.first <= address.value && address.value <= range.last,
      )?.what
}

/**
 * Reports an address that a packet cannot be sent to from elsewhere; true if it is one that can. What is no address at
 * all is reported, too.
 */
export function validateReachable(report: Report, path: string, text: string): boolean {
  const address = readAddress(text)
  if (address === undefined) {
    report.wrong(path, text, 'is not an IP address', 'write it as 10.0.0.1 or fd00::1')
    return false
  }
  const special = specialAddress(text)
  if (special !== undefined) report.wrong(path, text, `is ${special}`, 'give one that every node reaches')
  return special === undefined
}

export function validateIp(report: Report, path: string, address: string | undefined): void {
  const flaw = formats.ip(address ?? '')
  if (flaw !== undefined) report.wrong(path, address ?? '', flaw.message, flaw.remedy)
}

/** https://kubernetes.io/docs/concepts/services-networking/dual-stack/ */
export function validateFamilies(
  report: Report,
  path: string,
  addresses: readonly { readonly ip?: string | undefined }[],
): void {
  const families = addresses.flatMap(({ ip }) => readAddress(ip ?? '')?.family ?? [])
  families.forEach((family, index) => {
    if (families.indexOf(family) < index)
      report.refused(path, `have more than one address of IPv${family}`, 'tell one of each family')
  })
}

/** Where a load balancer is reached. */
export function validateIngressPoints(
  report: Report,
  points: readonly { readonly hostname?: string | undefined }[],
): void {
  points.forEach(({ hostname = '' }, index) => {
    if (readAddress(hostname) !== undefined)
      report.wrong(
        fieldPath(entryPath('status.loadBalancer.ingress', index), 'hostname'),
        hostname,
        'is an address',
        'write it as ip',
      )
  })
}
