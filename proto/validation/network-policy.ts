/** NetworkPolicy. https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/ */
import type { IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '../gen/types.ts'
import { rangeContains, readCidr } from '../base/cidr.ts'
import { formats } from '../base/format.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { validateSelector } from './metadata.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const networkPolicyRules: KindRules<'NetworkPolicy'> = { object: validateNetworkPolicy }

const CIDR_REMEDY = 'write it as 10.64.3.0/24 or fd00:64::/64'

function validateNetworkPolicy(report: Report, { spec }: NetworkPolicy): void {
  validateSelector(report, 'spec.podSelector', spec.podSelector)
  spec.ingress?.forEach(({ ports = [], from = [] }, index) => {
    const at = entryPath('spec.ingress', index)
    validatePorts(report, fieldPath(at, 'ports'), ports)
    validatePeers(report, fieldPath(at, 'from'), from)
  })
  spec.egress?.forEach(({ ports = [], to = [] }, index) => {
    const at = entryPath('spec.egress', index)
    validatePorts(report, fieldPath(at, 'ports'), ports)
    validatePeers(report, fieldPath(at, 'to'), to)
  })
  validateTypes(report, spec.policyTypes ?? [])
}

function validateTypes(report: Report, types: readonly string[]): void {
  types.forEach((type, index) => {
    if (types.indexOf(type) < index)
      report.wrong(
        entryPath('spec.policyTypes', index),
        type,
        'is there twice',
        'name each direction once',
        'FieldValueDuplicate',
      )
  })
}

function validatePorts(report: Report, path: string, ports: readonly NetworkPolicyPort[]): void {
  ports.forEach(({ port, endPort }, index) => {
    const at = entryPath(path, index)
    if (port !== undefined) {
      const flaw = typeof port === 'number' ? formats.port(port) : formats.portName(port)
      if (flaw !== undefined) report.wrong(fieldPath(at, 'port'), port, flaw.message, flaw.remedy)
    }
    if (endPort === undefined) return
    if (port === undefined)
      report.wrong(fieldPath(at, 'endPort'), endPort, 'has no port that the range begins with', 'give port too')
    else if (typeof port === 'string')
      report.wrong(fieldPath(at, 'endPort'), endPort, 'is not allowed with a named port', 'give port as a number')
    else if (endPort < port)
      report.wrong(fieldPath(at, 'endPort'), endPort, `is less than port, ${port}`, 'give the last port of the range')
  })
}

function validatePeers(report: Report, path: string, peers: readonly NetworkPolicyPeer[]): void {
  peers.forEach(({ podSelector, namespaceSelector, ipBlock }, index) => {
    const at = entryPath(path, index)
    if (podSelector !== undefined) validateSelector(report, fieldPath(at, 'podSelector'), podSelector)
    if (namespaceSelector !== undefined) validateSelector(report, fieldPath(at, 'namespaceSelector'), namespaceSelector)
    if (ipBlock !== undefined) {
      if (podSelector !== undefined || namespaceSelector !== undefined)
        report.refused(at, 'has ipBlock beside podSelector or namespaceSelector', 'make ipBlock a peer of its own')
      validateBlock(report, fieldPath(at, 'ipBlock'), ipBlock)
    } else if (podSelector === undefined && namespaceSelector === undefined) {
      report.refused(
        at,
        'selects nobody',
        'give podSelector, namespaceSelector or ipBlock; for everybody leave out the whole list',
        'FieldValueRequired',
      )
    }
  })
}

function validateBlock(report: Report, path: string, { cidr, except = [] }: IPBlock): void {
  if (cidr === undefined) return // the schema's rules report it
  const range = readCidr(cidr)
  if (range === undefined) report.wrong(fieldPath(path, 'cidr'), cidr, 'is not a range of addresses', CIDR_REMEDY)
  except.forEach((text, index) => {
    const at = entryPath(fieldPath(path, 'except'), index)
    const gap = readCidr(text)
    if (gap === undefined) report.wrong(at, text, 'is not a range of addresses', CIDR_REMEDY)
    else if (range !== undefined && !rangeContains(range, gap))
      report.wrong(at, text, `is not inside ${cidr}`, 'give a range inside it')
    else if (range !== undefined && rangeContains(gap, range))
      report.wrong(at, text, `leaves nothing of ${cidr}`, 'give a smaller range')
  })
}
