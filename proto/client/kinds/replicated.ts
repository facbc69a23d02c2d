/** What ReplicaSets and ReplicationControllers have in common: a count of pods like one template. */
import type { Resources } from '../../gen/types.ts'
import { podSelectorOf } from '../../objects/pod-selection.ts'
import { isOwnedBy } from '../../objects/owners.ts'
import { formatLabelSelector } from '../../objects/selector.ts'
import type { KindRecord } from './kind-record.ts'
import { containerPorts } from './ports.ts'
import { replicasReadiness } from './readiness.ts'

type Replicated = 'ReplicaSet' | 'ReplicationController'

/** `inAll`: its place in `get all`. */
export function replicatedRecord<K extends Replicated>(inAll: number): KindRecord<K> {
  const record: KindRecord<Replicated> = {
    readiness: (object) => replicasReadiness(object, object.spec.replicas, object.status),
    takesTime: true,
    async describe(object, { cluster }) {
      const { namespace, uid } = object.metadata
      const labelSelector = formatLabelSelector(podSelectorOf(object) ?? {})
      const [{ replicatedEntries }, { items }] = await Promise.all([
        import('../describe/workload.ts'),
        cluster.list('Pod', { namespace, labelSelector }),
      ])
      const owned = items.filter((pod) => isOwnedBy(pod, uid))
      return replicatedEntries(object, owned)
    },
    inAll,
    pods: { are: 'made', selector: (object: Resources[Replicated]) => podSelectorOf(object) ?? {} },
    podSpec: { path: ['spec', 'template', 'spec'], of: ({ spec }) => spec.template.spec },
    ports: ({ spec }) => containerPorts(spec.template.spec),
    scale: { replicasPath: ['spec', 'replicas'] },
  }
  return record as KindRecord<K>
}
