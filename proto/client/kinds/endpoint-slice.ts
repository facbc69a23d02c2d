import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const endpointSlice: KindRecord<'EndpointSlice'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/service.ts')).endpointSliceEntries(object),
}
