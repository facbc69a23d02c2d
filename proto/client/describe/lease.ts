/** Leases: who holds one, and since when. */
import type { Lease } from '../../gen/types.ts'
import { ageSince } from '../../objects/columns/age.ts'
import { controllerEntries, markEntries, nameEntries } from './metadata.ts'
import { entry, type Entry } from './page.ts'

export function leaseEntries(lease: Lease, now: number): Entry[] {
  const { holderIdentity = '<none>', leaseDurationSeconds, renewTime } = lease.spec
  return [
    ...nameEntries(lease),
    ...markEntries(lease),
    ...controllerEntries(lease),
    entry('Holder', holderIdentity),
    ...(leaseDurationSeconds === undefined ? [] : [entry('Duration', `${leaseDurationSeconds}s`)]),
    entry('Renewed', renewTime === undefined ? '<never>' : `${ageSince(renewTime, now)} ago`),
  ]
}
