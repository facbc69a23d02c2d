import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const configMap: KindRecord<'ConfigMap'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/config.ts')).configMapEntries(object),
  applyOrder: 2,
}
