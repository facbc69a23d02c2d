/**
 * IP addresses and ranges. https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-ip-address-library and
 * …/#kubernetes-cidr-library
 */
import type { Environment } from '@marcbachmann/cel-js'
import {
  formatAddress,
  prefixLength,
  rangeContains,
  readAddress,
  readCidr,
  type AddressFamily,
  type AddressRange,
} from '../../../proto/base/cidr.ts'
import { CelError } from '../error.ts'
import { define, Namespace } from './define.ts'

class IpNamespace extends Namespace {}

class Ip {
  readonly family: AddressFamily
  readonly value: bigint

  constructor(family: AddressFamily, value: bigint) {
    this.family = family
    this.value = value
  }

  get range(): AddressRange {
    return { family: this.family, first: this.value, last: this.value }
  }

  toString(): string {
    return formatAddress(this.family, this.value)
  }

  compare(other: Ip): number {
    return this.family === other.family && this.value === other.value ? 0 : 1
  }
}

class Cidr {
  readonly range: AddressRange
  /** As it was written, bits behind the prefix among them. */
  readonly address: Ip

  constructor(range: AddressRange, address: Ip) {
    this.range = range
    this.address = address
  }

  toString(): string {
    return `${this.address.toString()}/${prefixLength(this.range)}`
  }

  compare(other: Cidr): number {
    return this.toString() === other.toString() ? 0 : 1
  }
}

/** IPv4 addresses within IPv6 are not allowed. */
function readIp(text: string): Ip | undefined {
  const address = text.includes(':') && text.includes('.') ? undefined : readAddress(text)
  return address === undefined ? undefined : new Ip(address.family, address.value)
}

function readRange(text: string): Cidr | undefined {
  const range = readCidr(text)
  const address = readIp(text.split('/')[0]!)
  return range === undefined || address === undefined ? undefined : new Cidr(range, address)
}

function ip(text: string): Ip {
  return readIp(text) ?? fail(text, 'IP address')
}

function cidr(text: string): Cidr {
  return readRange(text) ?? fail(text, 'CIDR')
}

function fail(text: string, what: string): never {
  throw new CelError(`"${text}" is no ${what}`, 'evaluation')
}

const within = ({ range }: Ip, ...ranges: string[]): boolean =>
  ranges.some((text) => {
    const outer = readCidr(text)!
    return outer.family === range.family && rangeContains(outer, range)
  })

const isLoopback = (address: Ip): boolean => within(address, '127.0.0.0/8', '::1/128')
const isMulticast = (address: Ip): boolean => within(address, '224.0.0.0/4', 'ff00::/8')
const isUnspecified = (address: Ip): boolean => address.value === 0n
const isLinkLocal = (address: Ip): boolean => within(address, '169.254.0.0/16', 'fe80::/10')
const contains = (outer: Cidr, { range }: { range: AddressRange }): boolean =>
  outer.range.family === range.family && rangeContains(outer.range, range)

export function registerAddresses(environment: Environment): void {
  define(
    environment,
    {
      'isIP(string): bool': (text: string) => readIp(text) !== undefined,
      'ip(string): Ip': ip,
      'IpNamespace.isCanonical(string): bool': (_namespace: IpNamespace, text: string) => ip(text).toString() === text,
      'string(Ip): string': (address: Ip) => address.toString(),
      'Ip.family(): int': ({ family }: Ip) => BigInt(family),
      'Ip.isUnspecified(): bool': isUnspecified,
      'Ip.isLoopback(): bool': isLoopback,
      'Ip.isLinkLocalMulticast(): bool': (address: Ip) => within(address, '224.0.0.0/24', 'ff02::/16'),
      'Ip.isLinkLocalUnicast(): bool': isLinkLocal,
      'Ip.isGlobalUnicast(): bool': (address: Ip) =>
        !(
          isUnspecified(address) ||
          isLoopback(address) ||
          isMulticast(address) ||
          isLinkLocal(address) ||
          within(address, '255.255.255.255/32')
        ),
      'isCIDR(string): bool': (text: string) => readRange(text) !== undefined,
      'cidr(string): Cidr': cidr,
      'string(Cidr): string': (range: Cidr) => range.toString(),
      'Cidr.containsIP(string): bool': (outer: Cidr, text: string) => contains(outer, ip(text)),
      'Cidr.containsIP(Ip): bool': (outer: Cidr, address: Ip) => contains(outer, address),
      'Cidr.containsCIDR(string): bool': (outer: Cidr, text: string) => contains(outer, cidr(text)),
      'Cidr.containsCIDR(Cidr): bool': (outer: Cidr, inner: Cidr) => contains(outer, inner),
      'Cidr.ip(): Ip': ({ address }: Cidr) => address,
      'Cidr.masked(): Cidr': ({ range }: Cidr) => new Cidr(range, new Ip(range.family, range.first)),
      'Cidr.prefixLength(): int': ({ range }: Cidr) => BigInt(prefixLength(range)),
    },
    { ip: IpNamespace },
    [Ip, Cidr],
  )
  environment.registerOperator('Ip == Ip', (a: Ip, b: Ip) => a.compare(b) === 0)
  environment.registerOperator('Cidr == Cidr', (a: Cidr, b: Cidr) => a.compare(b) === 0)
}
