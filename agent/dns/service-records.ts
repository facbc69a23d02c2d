/** The records of one Service: https://github.com/kubernetes/dns/blob/master/docs/specification.md, version 1.1.0. */
import ipaddr from 'ipaddr.js'
import type { Endpoint, EndpointSlice, Service } from '../../proto/gen/types.ts'
import type { ZoneRecord } from './encode.ts'
import { reverseName, wireName } from './wire-name.ts'

/** The label by which a slice names its Service. */
export const SERVICE_LABEL = 'kubernetes.io/service-name'
const NONE = 'None'
/** Weights of the targets of one port add up to about this. */
const TOTAL_SRV_WEIGHT = 100

/** Pure. `slices` are those of the Service, in any order; only a headless Service has records of its endpoints. */
export function serviceRecords(service: Service, slices: readonly EndpointSlice[], domain: string): ZoneRecord[] {
  const { name, namespace } = service.metadata
  const own = wireName(`${name}.${namespace}.svc.${domain}`)
  const { type, clusterIP, clusterIPs, externalName, ports = [] } = service.spec
  if (type === 'ExternalName')
    return externalName === undefined ? [] : [{ name: own, type: 'CNAME', data: wireName(externalName) }]
  const addresses = (clusterIPs ?? [clusterIP]).filter(
    (address): address is string => address !== undefined && address !== '' && address !== NONE,
  )
  if (addresses.length > 0) {
    return [
      ...addresses.flatMap((address) => [addressRecord(own, address), pointerRecord(address, own)]),
      ...ports.flatMap((port) => portRecord(own, port, port.port, own, TOTAL_SRV_WEIGHT)),
    ]
  }
  return clusterIP === NONE ? headlessRecords(service, slices, own) : []
}

/** Without any endpoint there is no record, so that the name does not exist: specification, 2.4.1. */
function headlessRecords(service: Service, slices: readonly EndpointSlice[], own: string): ZoneRecord[] {
  const found = new Map<string, ZoneRecord>()
  const add = (record: ZoneRecord): void =>
    void found.set(JSON.stringify([record.name, record.type, record.data]), record)
  const unready = service.spec.publishNotReadyAddresses === true
  const published = slices
    .filter(({ addressType }) => addressType !== 'FQDN')
    .map((slice) => ({
      ports: slice.ports ?? [],
      endpoints: (slice.endpoints ?? []).filter(({ conditions }) => unready || conditions?.ready !== false),
    }))
  const targets = new Set(published.flatMap(({ endpoints }) => endpoints.map(endpointLabel))).size
  const weight = Math.max(1, Math.floor(TOTAL_SRV_WEIGHT / Math.max(1, targets)))
  for (const { ports, endpoints } of published) {
    for (const endpoint of endpoints) {
      const label = endpointLabel(endpoint)
      if (label === undefined) continue
      const target = wireName(label) + own
      for (const address of endpoint.addresses ?? []) {
        add(addressRecord(own, address))
        add(addressRecord(target, address))
        add(pointerRecord(address, target))
      }
      for (const port of ports)
        if (port.port !== undefined) portRecord(own, port, port.port, target, weight).forEach(add)
    }
  }
  return [...found.values()]
}

/** The hostname, or the address with dashes, which is unique in the Service. */
function endpointLabel({ hostname, addresses }: Endpoint): string | undefined {
  return hostname !== undefined && hostname !== ''
    ? hostname
    : addresses?.[0] === undefined
      ? undefined
      : dashed(addresses[0])
}

/** 10.1.2.3 → "10-1-2-3", fd00::5 → "fd00--5"; a label neither begins nor ends with a dash: ::1 → "0--1". */
export function dashed(address: string): string {
  return address.replace(/[.:]/g, '-').replace(/^-/, '0-').replace(/-$/, '-0')
}

function addressRecord(name: string, address: string): ZoneRecord {
  return { name, type: address.includes(':') ? 'AAAA' : 'A', data: address }
}

function pointerRecord(address: string, target: string): ZoneRecord {
  return { name: wireName(reverseName(ipaddr.parse(address).toByteArray())), type: 'PTR', data: target }
}

/** Ports without a name have no SRV record. */
function portRecord(
  own: string,
  port: { readonly name?: string | undefined; readonly protocol?: string | undefined },
  number: number,
  target: string,
  weight: number,
): ZoneRecord[] {
  if (port.name === undefined || port.name === '') return []
  return [
    {
      name: wireName(`_${port.name}._${port.protocol ?? 'TCP'}`) + own,
      type: 'SRV',
      data: { weight, port: number, target },
    },
  ]
}
