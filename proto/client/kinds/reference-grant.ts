import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const referenceGrant: KindRecord<'ReferenceGrant'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/ingress.ts')).referenceGrantEntries(object),
}
