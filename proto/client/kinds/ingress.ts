import type { KindRecord } from './kind-record.ts'
import { ready, waiting, wordOf } from './readiness.ts'

export const ingress: KindRecord<'Ingress'> = {
  readiness: (object) =>
    (object.status.loadBalancer?.ingress ?? []).length > 0
      ? ready(`${wordOf(object)} is served`)
      : waiting(`${wordOf(object)}: no node serves it`),
  async describe(object, { cluster }) {
    const { ingressEntries, ingressSurroundings } = await import('../describe/ingress.ts')
    return ingressEntries(object, await ingressSurroundings(cluster, object))
  },
}
