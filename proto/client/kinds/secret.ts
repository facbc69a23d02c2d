import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const secret: KindRecord<'Secret'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/config.ts')).secretEntries(object),
  applyOrder: 2,
}
