import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const lease: KindRecord<'Lease'> = {
  readiness: readyOnceThere,
  describe: async (object, { now }) => (await import('../describe/lease.ts')).leaseEntries(object, now),
  machinery: true,
}
