/** Network, and pods' annotations that name Networks. */
import type { Network, ObjectMeta, PodSpec } from '../gen/types.ts'
import { familyOf, formatCidr, prefixLength, readCidr } from '../base/cidr.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { networkFlaws, podNetworks } from '../objects/pod-networks.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const networkRules: KindRules<'Network'> = { object: validateNetwork }

/** Prefix lengths of a Network's range: a part of it goes to each node with pods on it. */
const PREFIXES = { 4: { least: 8, most: 28 }, 6: { least: 32, most: 120 } } as const

function validateNetwork(report: Report, { spec: { cidrs = [] } }: Network): void {
  cidrs.forEach((cidr, index) => {
    const path = entryPath('spec.cidrs', index)
    const range = readCidr(cidr)
    if (range === undefined)
      return report.wrong(path, cidr, 'is not a range of addresses', 'write it as 10.50.0.0/16 or fd50::/64')
    const { least, most } = PREFIXES[range.family]
    const length = prefixLength(range)
    if (length < least || length > most)
      report.wrong(path, cidr, 'has a prefix that is too long or too short', `use /${least} to /${most}`)
    if (formatCidr(range) !== cidr)
      report.wrong(path, cidr, 'is not in the form that everybody writes', `write ${formatCidr(range)}`)
    if (cidrs.slice(0, index).some((other) => familyOf(other) === range.family))
      report.wrong(path, cidr, 'is the second range of its family', 'keep one')
  })
}

/** `path`: of the metadata that carries the annotations. */
export function validatePodNetworks(report: Report, path: string, metadata: ObjectMeta, spec: PodSpec): void {
  const annotations = fieldPath(path, 'annotations')
  for (const { annotation, value, message, remedy } of networkFlaws(metadata))
    report.wrong(entryPath(annotations, annotation), value, message, remedy)
  const { cluster, further } = podNetworks(metadata)
  if (spec.hostNetwork === true && (further.length > 0 || !cluster))
    report.refused(
      fieldPath(path, 'annotations'),
      "asks for networks, but the pod is in its node's own network namespace",
      'leave out hostNetwork or the networks',
    )
}
