/** Service. https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/ */
import type { Service, ServicePort, ServiceSpec } from '../gen/types.ts'
import { readAddress, readCidr } from '../base/cidr.ts'
import { formats } from '../base/format.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { validateIngressPoints, validateReachable } from './address.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const serviceRules: KindRules<'Service'> = {
  object: validateService,
  update: validateServiceUpdate,
  status: (report, { status }) => validateIngressPoints(report, status.loadBalancer?.ingress ?? []),
}

/** The address of a Service that has none: its name leads to its pods. */
export const HEADLESS = 'None'

const LONGEST_AFFINITY = 86_400
/** Addresses and families: one of each family. */
const FAMILIES = 2
/** RFC 1035 section 2.3.1: a Service's name is part of variables' names, too. */
const SERVICE_NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/

export function isHeadless({ clusterIP }: Pick<ServiceSpec, 'clusterIP'>): boolean {
  return clusterIP === HEADLESS
}

/** It is reached from outside, so that what comes from there can be told apart. */
export function isExternal({ type, externalIPs = [] }: ServiceSpec): boolean {
  return type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && externalIPs.length > 0)
}

/** It has a port of every node for each of its own. */
export function hasNodePorts({ type, allocateLoadBalancerNodePorts }: ServiceSpec): boolean {
  return type === 'NodePort' || (type === 'LoadBalancer' && allocateLoadBalancerNodePorts !== false)
}

/** It has a port of every node that tells whether there are pods of it. */
export function hasHealthCheckPort({ type, externalTrafficPolicy }: ServiceSpec): boolean {
  return type === 'LoadBalancer' && externalTrafficPolicy === 'Local'
}

function validateService(report: Report, { metadata, spec }: Service): void {
  if (metadata.name !== '' && (metadata.name.length > 63 || !SERVICE_NAME.test(metadata.name))) {
    report.wrong(
      'metadata.name',
      metadata.name,
      'is not a name for a Service',
      'use at most 63 lower-case letters, digits and "-", beginning with a letter and ending with a letter or digit',
    )
  }
  validateAddresses(report, spec)
  validateFamilies(report, spec)
  validatePorts(report, spec)
  validateAffinity(report, spec)
  validateOutside(report, spec)
  if (spec.type === 'ExternalName') validateExternalName(report, spec)
  else if ((spec.externalName ?? '') !== '') report.refused('spec.externalName', 'is for type ExternalName only')
}

function validateExternalName(
  report: Report,
  { externalName = '', clusterIP = '', clusterIPs = [], ipFamilies = [], ipFamilyPolicy }: ServiceSpec,
): void {
  if (externalName === '') report.missing('spec.externalName', 'say which name the Service stands for')
  const there = [
    ['clusterIP', clusterIP !== ''],
    ['clusterIPs', clusterIPs.length > 0],
    ['ipFamilies', ipFamilies.length > 0],
    ['ipFamilyPolicy', ipFamilyPolicy !== undefined],
  ] as const
  for (const [field, set] of there)
    if (set) report.refused(`spec.${field}`, 'is not for type ExternalName, which has no address')
}

function validateAddresses(report: Report, { type, clusterIP = '', clusterIPs = [] }: ServiceSpec): void {
  if (clusterIP === HEADLESS && (type === 'NodePort' || type === 'LoadBalancer'))
    report.wrong(
      'spec.clusterIPs[0]',
      clusterIP,
      `is not allowed with type ${type}`,
      'use type ClusterIP, or leave the address out',
    )
  if (clusterIPs.length > 0 && clusterIPs[0] !== clusterIP)
    report.wrong(
      'spec.clusterIPs[0]',
      clusterIPs[0],
      'differs from clusterIP',
      clusterIP === '' ? 'set clusterIP, too' : `it must be ${clusterIP}`,
    )
  if (clusterIPs.length > FAMILIES)
    report.refused(
      'spec.clusterIPs',
      `are ${clusterIPs.length}, at most one of each family is allowed`,
      'keep two',
      'FieldValueInvalid',
    )
  const list = clusterIPs.length > 0 ? clusterIPs : clusterIP === '' ? [] : [clusterIP]
  const pathOf = (index: number): string =>
    clusterIPs.length > 0 ? entryPath('spec.clusterIPs', index) : 'spec.clusterIP'
  list.forEach((text, index) => {
    if (text === HEADLESS) {
      if (list.length > 1)
        report.wrong(pathOf(index), text, 'stands beside addresses', 'a Service is headless or has addresses')
    } else if (
      validateReachable(report, pathOf(index), text) &&
      list.findIndex((other) => familyOf(other) === familyOf(text)) < index
    ) {
      report.wrong(pathOf(index), text, `is the second ${familyOf(text)} address`, 'give one of each family')
    }
  })
}

/** "IPv4" or "IPv6"; undefined for what is no address. */
export function familyOf(text: string): 'IPv4' | 'IPv6' | undefined {
  const address = readAddress(text)
  return address === undefined ? undefined : `IPv${address.family}`
}

function validateFamilies(report: Report, { ipFamilies = [], ipFamilyPolicy, clusterIPs = [] }: ServiceSpec): void {
  ipFamilies.forEach((family, index) => {
    const path = entryPath('spec.ipFamilies', index)
    const address = clusterIPs[index]
    if (ipFamilies.indexOf(family) < index)
      report.wrong(path, family, 'is there twice', 'name each family once', 'FieldValueDuplicate')
    else if (address !== undefined && familyOf(address) !== undefined && familyOf(address) !== family)
      report.wrong(
        entryPath('spec.clusterIPs', index),
        address,
        `is not of family ${family}, as ipFamilies says`,
        'let both lists have one order',
      )
  })
  if (ipFamilyPolicy !== 'PreferDualStack' && ipFamilyPolicy !== 'RequireDualStack') {
    const remedy = 'set ipFamilyPolicy to PreferDualStack or RequireDualStack, or keep one'
    if (ipFamilies.length > 1)
      report.refused('spec.ipFamilies', 'are two, but the Service has one family', remedy, 'FieldValueInvalid')
    if (clusterIPs.length > 1)
      report.refused('spec.clusterIPs', 'are two, but the Service has one family', remedy, 'FieldValueInvalid')
  }
}

function validatePorts(report: Report, spec: ServiceSpec): void {
  const { ports = [], type } = spec
  if (ports.length === 0 && type !== 'ExternalName' && !isHeadless(spec))
    report.missing('spec.ports', 'say which ports it has; only a headless Service may have none')
  const names = new Set<string>()
  const nodePorts = new Set<string>()
  for (const [index, port] of ports.entries()) {
    const { name = '', nodePort = 0, protocol } = port
    validatePort(report, entryPath('spec.ports', index), port, spec, {
      isAlone: ports.length === 1,
      hasName: names.has(name),
      hasNodePort: nodePorts.has(`${nodePort}/${protocol}`),
    })
    names.add(name)
    nodePorts.add(`${nodePort}/${protocol}`)
  }
}

/** What the ports before one have. */
interface PortsBefore {
  readonly isAlone: boolean
  readonly hasName: boolean
  readonly hasNodePort: boolean
}

function validatePort(
  report: Report,
  path: string,
  port: ServicePort,
  { type }: ServiceSpec,
  { isAlone, hasName, hasNodePort }: PortsBefore,
): void {
  const { name = '', appProtocol, targetPort, nodePort = 0, protocol } = port
  if (name === '' && !isAlone) report.missing(fieldPath(path, 'name'), 'a Service with several ports names each')
  if (name !== '' && hasName)
    report.wrong(
      fieldPath(path, 'name'),
      name,
      'is the name of another port, too',
      'give each its own',
      'FieldValueDuplicate',
    )
  const rules = [
    ['appProtocol', appProtocol, formats.labelKey],
    ['targetPort', targetPort, typeof targetPort === 'string' ? formats.portName : formats.port],
    ['nodePort', nodePort === 0 ? undefined : nodePort, formats.port],
  ] as const
  for (const [field, value, rule] of rules) {
    const flaw = value === undefined ? undefined : rule(value)
    if (flaw !== undefined) report.wrong(fieldPath(path, field), value, flaw.message, flaw.remedy)
  }
  if (nodePort === 0) return
  if (type === 'ClusterIP' || type === 'ExternalName')
    report.wrong(
      fieldPath(path, 'nodePort'),
      nodePort,
      `is not allowed with type ${type}`,
      'use type NodePort or LoadBalancer, or leave it out',
      'FieldValueForbidden',
    )
  if (hasNodePort)
    report.wrong(
      fieldPath(path, 'nodePort'),
      nodePort,
      `is the ${protocol} nodePort of another port, too`,
      'give each its own',
      'FieldValueDuplicate',
    )
}

function validateAffinity(report: Report, { sessionAffinity, sessionAffinityConfig }: ServiceSpec): void {
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds
  if (sessionAffinity !== 'ClientIP') {
    if (sessionAffinityConfig !== undefined)
      report.refused('spec.sessionAffinityConfig', 'is for sessionAffinity ClientIP only')
  } else if (seconds !== undefined && (seconds < 1 || seconds > LONGEST_AFFINITY)) {
    report.wrong(
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
      seconds,
      'is out of range',
      `give a number from 1 to ${LONGEST_AFFINITY}`,
    )
  }
}

/** What is about traffic from outside the cluster. */
function validateOutside(report: Report, spec: ServiceSpec): void {
  const {
    type,
    externalIPs = [],
    externalTrafficPolicy,
    healthCheckNodePort = 0,
    loadBalancerIP = '',
    loadBalancerClass,
    loadBalancerSourceRanges = [],
    allocateLoadBalancerNodePorts,
  } = spec
  externalIPs.forEach((address, index) => validateReachable(report, entryPath('spec.externalIPs', index), address))
  if (externalTrafficPolicy !== undefined && !isExternal(spec))
    report.wrong(
      'spec.externalTrafficPolicy',
      externalTrafficPolicy,
      `is not for type ${type}`,
      'use type NodePort or LoadBalancer, or leave it out',
    )
  if (healthCheckNodePort !== 0 && !hasHealthCheckPort(spec))
    report.wrong(
      'spec.healthCheckNodePort',
      healthCheckNodePort,
      'is for type LoadBalancer with externalTrafficPolicy Local only',
      'leave it out',
    )
  const flaw = healthCheckNodePort === 0 ? undefined : formats.port(healthCheckNodePort)
  if (flaw !== undefined) report.wrong('spec.healthCheckNodePort', healthCheckNodePort, flaw.message, flaw.remedy)
  if (loadBalancerIP !== '' && readAddress(loadBalancerIP) === undefined)
    report.wrong('spec.loadBalancerIP', loadBalancerIP, 'is not an IP address', 'write it as 10.0.0.1 or fd00::1')
  if (loadBalancerClass !== undefined) {
    const wrong = formats.labelKey(loadBalancerClass)
    if (wrong !== undefined) report.wrong('spec.loadBalancerClass', loadBalancerClass, wrong.message, wrong.remedy)
  }
  loadBalancerSourceRanges.forEach((cidr, index) => {
    if (readCidr(cidr.trim()) === undefined)
      report.wrong(
        entryPath('spec.loadBalancerSourceRanges', index),
        cidr,
        'is not a range of addresses',
        'write it as 203.0.113.0/24',
      )
  })
  if (type === 'LoadBalancer') return
  const there = [
    ['loadBalancerClass', loadBalancerClass !== undefined],
    ['loadBalancerSourceRanges', loadBalancerSourceRanges.length > 0],
    ['allocateLoadBalancerNodePorts', allocateLoadBalancerNodePorts !== undefined],
  ] as const
  for (const [field, set] of there) if (set) report.refused(`spec.${field}`, 'is for type LoadBalancer only')
}

/** Addresses stay for as long as the Service has any: clients know them. */
function validateServiceUpdate(report: Report, { spec: next }: Service, { spec: previous }: Service): void {
  if (
    previous.type === 'LoadBalancer' &&
    next.type === 'LoadBalancer' &&
    next.loadBalancerClass !== previous.loadBalancerClass
  ) {
    report.wrong(
      'spec.loadBalancerClass',
      next.loadBalancerClass ?? '',
      'may not change once set',
      previous.loadBalancerClass === undefined ? 'leave it out' : `it is ${previous.loadBalancerClass}`,
    )
  }
  if (previous.type === 'ExternalName' || next.type === 'ExternalName') return
  previous.clusterIPs?.forEach((address, index) => {
    const wanted = next.clusterIPs?.[index]
    if (wanted === address || (index > 0 && wanted === undefined && next.ipFamilyPolicy === 'SingleStack')) return
    const path = index === 0 && next.clusterIP !== address ? 'spec.clusterIP' : entryPath('spec.clusterIPs', index)
    report.wrong(
      path,
      wanted ?? '',
      'may not change once set',
      index === 0
        ? `it is ${address}; delete the Service and create it anew`
        : `it is ${address}; it can be given up with ipFamilyPolicy SingleStack`,
    )
  })
  previous.ipFamilies?.forEach((family, index) => {
    const wanted = next.ipFamilies?.[index]
    if (wanted === family || (index > 0 && wanted === undefined && next.ipFamilyPolicy === 'SingleStack')) return
    report.wrong(entryPath('spec.ipFamilies', index), wanted ?? '', 'may not change once set', `it is ${family}`)
  })
}
