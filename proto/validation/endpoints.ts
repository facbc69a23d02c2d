/** Endpoints. https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoints-v1/ */
import type { EndpointAddress, Endpoints, EndpointsPort } from '../gen/types.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { validateReachable } from './address.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const endpointsRules: KindRules<'Endpoints'> = { object: validateEndpoints }

function validateEndpoints(report: Report, { subsets = [] }: Endpoints): void {
  subsets.forEach(({ addresses = [], notReadyAddresses = [], ports = [] }, index) => {
    const path = entryPath('subsets', index)
    if (addresses.length + notReadyAddresses.length === 0)
      report.missing(path, 'give the set an address in addresses or notReadyAddresses, or leave the set out')
    validateAddresses(report, fieldPath(path, 'addresses'), addresses)
    validateAddresses(report, fieldPath(path, 'notReadyAddresses'), notReadyAddresses)
    validatePortNames(report, fieldPath(path, 'ports'), ports)
  })
}

function validateAddresses(report: Report, path: string, addresses: readonly EndpointAddress[]): void {
  addresses.forEach(({ ip }, index) => {
    // That it is missing is told by its schema.
    if (ip !== undefined && ip !== '') validateReachable(report, fieldPath(entryPath(path, index), 'ip'), ip)
  })
}

function validatePortNames(report: Report, path: string, ports: readonly EndpointsPort[]): void {
  ports.forEach(({ name = '' }, index) => {
    const at = fieldPath(entryPath(path, index), 'name')
    if (name === '' && ports.length > 1) report.missing(at, 'give each of several ports a name')
  })
}
