import { formatLabelSelector } from '../../objects/selector.ts'
import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

export const networkPolicy: KindRecord<'NetworkPolicy'> = {
  readiness: readyOnceThere,
  async describe(policy, { cluster }) {
    const [{ networkPolicyEntries }, { items }] = await Promise.all([
      import('../describe/network-policy.ts'),
      cluster.list('Pod', {
        namespace: policy.metadata.namespace,
        labelSelector: formatLabelSelector(policy.spec.podSelector),
      }),
    ])
    return networkPolicyEntries(policy, items)
  },
}
