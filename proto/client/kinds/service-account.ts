import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const serviceAccount: KindRecord<'ServiceAccount'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/generic.ts')).genericEntries(object),
}
