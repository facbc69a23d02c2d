import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const podTemplate: KindRecord<'PodTemplate'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/workload.ts')).podTemplateEntries(object),
}
