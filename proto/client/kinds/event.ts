import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const event: KindRecord<'Event'> = {
  readiness: readyOnceThere,
  describe: async (object, { now }) => (await import('../describe/event.ts')).eventEntries(object, now),
  machinery: true,
}
