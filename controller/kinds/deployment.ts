/** Deployments. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/ */
import { templateWarnings } from '../../proto/objects/pod-warnings.ts'
import type { Strategy } from './strategy.ts'

export const deploymentStrategy: Strategy<'Deployment'> = {
  warnings: ({ spec }) => templateWarnings(spec.template, 'spec.template'),
}
