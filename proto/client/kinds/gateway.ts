import type { KindRecord } from './kind-record.ts'
import { conditionReadiness } from './readiness.ts'

export const gateway: KindRecord<'Gateway'> = {
  readiness: (object) => conditionReadiness(object, object.status.conditions, 'Programmed'),
  describe: async (object) => (await import('../describe/ingress.ts')).gatewayEntries(object),
}
