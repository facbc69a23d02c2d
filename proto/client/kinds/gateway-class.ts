import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const gatewayClass: KindRecord<'GatewayClass'> = {
  readiness: readyOnceThere,
  describe: async (object) => (await import('../describe/ingress.ts')).gatewayClassEntries(object),
}
