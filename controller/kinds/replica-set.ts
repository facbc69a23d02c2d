/** ReplicaSets. https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/ */
import { templateWarnings } from '../../proto/objects/pod-warnings.ts'
import type { Strategy } from './strategy.ts'

export const replicaSetStrategy: Strategy<'ReplicaSet'> = {
  warnings: ({ spec }) => templateWarnings(spec.template, 'spec.template'),
}
