import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const namespace: KindRecord<'Namespace'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/namespace.ts')).namespaceEntries(object),
  applyOrder: 0,
  deletionWaitsFor: (name) => `all that is in it to be gone (\`gantry get all -n ${name}\` lists what runs there)`,
}
