/** EndpointSlice. https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/ */
import type { Endpoint, EndpointPort, EndpointSlice } from '../gen/types.ts'
import { readAddress } from '../base/cidr.ts'
import { formats } from '../base/format.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { validateReachable } from './address.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const endpointSliceRules: KindRules<'EndpointSlice'> = { object: validateEndpointSlice }

const MOST_ENDPOINTS = 1000
const MOST_PORTS = 100
const MOST_ADDRESSES = 100
const MOST_HINTS = 8

function validateEndpointSlice(report: Report, { addressType, endpoints = [], ports = [] }: EndpointSlice): void {
  if (endpoints.length > MOST_ENDPOINTS)
    report.tooMany('endpoints', endpoints.length, MOST_ENDPOINTS, 'make several EndpointSlices')
  if (ports.length > MOST_PORTS) report.tooMany('ports', ports.length, MOST_PORTS, 'make several EndpointSlices')
  endpoints.forEach((endpoint, index) => validateEndpoint(report, entryPath('endpoints', index), endpoint, addressType))
  validatePorts(report, ports)
}

function validateEndpoint(
  report: Report,
  path: string,
  { addresses = [], nodeName, hints = {} }: Endpoint,
  type: EndpointSlice['addressType'],
): void {
  const at = fieldPath(path, 'addresses')
  if (addresses.length === 0) report.missing(at, 'give the endpoint an address')
  if (addresses.length > MOST_ADDRESSES) report.tooMany(at, addresses.length, MOST_ADDRESSES, 'make several endpoints')
  addresses.forEach((address, index) => validateAddress(report, entryPath(at, index), address, type))
  const flaw = nodeName === undefined ? undefined : formats.dnsSubdomain(nodeName)
  if (flaw !== undefined) report.wrong(fieldPath(path, 'nodeName'), nodeName, flaw.message, flaw.remedy)
  for (const field of ['forZones', 'forNodes'] as const)
    validateHints(report, fieldPath(fieldPath(path, 'hints'), field), hints[field] ?? [])
}

function validateAddress(report: Report, path: string, text: string, type: EndpointSlice['addressType']): void {
  switch (type) {
    case 'FQDN': {
      const flaw = formats.dnsSubdomain(text)
      if (flaw !== undefined) report.wrong(path, text, flaw.message, flaw.remedy)
      return
    }
    case 'IPv4':
    case 'IPv6': {
      if (!validateReachable(report, path, text)) return
      if (`IPv${readAddress(text)!.family}` !== type)
        report.wrong(
          path,
          text,
          `is not an ${type} address, which addressType says it is`,
          'make an EndpointSlice for each family',
        )
    }
  }
}

function validateHints(report: Report, path: string, hints: readonly { readonly name: string }[]): void {
  if (hints.length > MOST_HINTS) report.tooMany(path, hints.length, MOST_HINTS, 'name fewer')
  hints.forEach(({ name }, index) => {
    if (hints.findIndex((other) => other.name === name) < index)
      report.wrong(fieldPath(entryPath(path, index), 'name'), name, 'is there twice', 'keep one', 'FieldValueDuplicate')
  })
}

function validatePorts(report: Report, ports: readonly EndpointPort[]): void {
  ports.forEach(({ name = '', port, appProtocol }, index) => {
    const path = entryPath('ports', index)
    if (ports.findIndex((other) => (other.name ?? '') === name) < index)
      report.wrong(
        fieldPath(path, 'name'),
        name,
        'is the name of another port, too',
        'give each its own',
        'FieldValueDuplicate',
      )
    const rules = [
      ['name', name === '' ? undefined : name, formats.dnsLabel],
      ['port', port, formats.port],
      ['appProtocol', appProtocol, formats.labelKey],
    ] as const
    for (const [field, value, rule] of rules) {
      const flaw = value === undefined ? undefined : rule(value)
      if (flaw !== undefined) report.wrong(fieldPath(path, field), value, flaw.message, flaw.remedy)
    }
  })
}
