import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const endpoints: KindRecord<'Endpoints'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/service.ts')).endpointsEntries(object),
}
