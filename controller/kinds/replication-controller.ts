/** ReplicationControllers. https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller/ */
import { templateWarnings } from '../../proto/objects/pod-warnings.ts'
import type { Strategy } from './strategy.ts'

export const replicationControllerStrategy: Strategy<'ReplicationController'> = {
  warnings: ({ spec }) => templateWarnings(spec.template, 'spec.template'),
  // Clients of before there was a garbage collector say nothing, and count on the pods that they leave behind.
  deletion: { propagation: 'ORPHAN' },
}
