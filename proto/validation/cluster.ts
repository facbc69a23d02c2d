/** Node and Event: what is about the cluster itself. Namespace and Lease have no rules beyond the schema's. */
import type { Event, Node } from '../gen/types.ts'
import { readCidr } from '../base/cidr.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { validateIp } from './address.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const nodeRules: KindRules<'Node'> = {
  object: validateNode,
  update: validateNodeUpdate,
  status(report, { status: { addresses = [] } }) {
    addresses.forEach(({ type = '', address }, index) => {
      if (type.endsWith('IP')) validateIp(report, fieldPath(entryPath('status.addresses', index), 'address'), address)
    })
  },
}

export const eventRules: KindRules<'Event'> = { object: validateEvent }

function validateNode(report: Report, { spec }: Node): void {
  const { podCIDR, podCIDRs = [] } = spec
  for (const [path, range] of [
    ['spec.podCIDR', podCIDR] as const,
    ...podCIDRs.map((item, index) => [entryPath('spec.podCIDRs', index), item] as const),
  ]) {
    if (range !== undefined && range !== '' && readCidr(range) === undefined)
      report.wrong(path, range, 'is not a range of addresses', 'write it as 10.64.3.0/24')
  }
  if (podCIDR !== undefined && podCIDRs.length > 0 && podCIDRs[0] !== podCIDR)
    report.wrong('spec.podCIDRs[0]', podCIDRs[0], 'differs from podCIDR', `it must be ${podCIDR}`)
}

/** Pods have addresses of the range: it stays. */
function validateNodeUpdate(report: Report, { spec: next }: Node, { spec: previous }: Node): void {
  if (previous.podCIDR !== undefined && previous.podCIDR !== '' && next.podCIDR !== previous.podCIDR) {
    report.wrong(
      'spec.podCIDRs',
      next.podCIDR ?? '',
      'cannot be changed: podCIDR stays once it is set',
      `it is ${previous.podCIDR}`,
      'FieldValueForbidden',
    )
  }
}

function validateEvent(report: Report, { metadata, involvedObject }: Event): void {
  const about = involvedObject?.namespace ?? ''
  if (about !== '' && about !== metadata.namespace)
    report.wrong(
      'involvedObject.namespace',
      about,
      'is not the namespace of the event',
      `it must be ${metadata.namespace}`,
    )
}
