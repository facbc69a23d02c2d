import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const ingressClass: KindRecord<'IngressClass'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/ingress.ts')).ingressClassEntries(object),
}
