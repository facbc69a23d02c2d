import type { KindRecord } from './kind-record.ts'
import { conditionReadiness } from './readiness.ts'

export const network: KindRecord<'Network'> = {
  readiness: (object) => conditionReadiness(object, object.status.conditions, 'Ready'),
  describe: async (object) => (await import('../describe/network.ts')).networkEntries(object),
}
