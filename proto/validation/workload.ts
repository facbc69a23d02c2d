/**
 * Deployment, ReplicaSet and ReplicationController, and templates of pods.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/
 */
import type { Deployment, DeploymentSpec, LabelSelector, PodTemplateSpec, ReplicaSet } from '../gen/types.ts'
import { fieldPath } from '../base/path.ts'
import { labelSelectorMatcher } from '../objects/selector.ts'
import { validateAnnotations, validateSelector } from './metadata.ts'
import { validatePodNetworks } from './network.ts'
import { refuseEphemeralContainers, validatePodSpec } from './pod.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const replicaSetRules: KindRules<'ReplicaSet'> = { object: validateReplicaSet }
export const replicationControllerRules: KindRules<'ReplicationController'> = {
  object: (report, { spec }) => validateTemplate(report, { matchLabels: spec.selector }, spec.template),
}
export const podTemplateRules: KindRules<'PodTemplate'> = {
  object: (report, { template }) => validatePodTemplate(report, 'template', template),
}
export const deploymentRules: KindRules<'Deployment'> = { object: validateDeployment }

function validateReplicaSet(report: Report, { spec }: ReplicaSet): void {
  validateTemplate(report, spec.selector, spec.template)
}

function validateDeployment(report: Report, { spec }: Deployment): void {
  validateTemplate(report, spec.selector, spec.template)
  validateStrategy(report, spec)
  const { progressDeadlineSeconds, minReadySeconds = 0 } = spec
  if (progressDeadlineSeconds !== undefined && progressDeadlineSeconds <= minReadySeconds) {
    report.wrong(
      'spec.progressDeadlineSeconds',
      progressDeadlineSeconds,
      `is not more than minReadySeconds, ${minReadySeconds}`,
      'no rollout could succeed: give more',
    )
  }
}

/** A selector or template that is missing is reported by the schema's rules. */
function validateTemplate(
  report: Report,
  selector: LabelSelector | undefined,
  template: PodTemplateSpec | undefined,
): void {
  if (selector !== undefined) validateWorkloadSelector(report, selector, template)
  if (template === undefined) return
  validatePodTemplate(report, 'spec.template', template)
  const { restartPolicy, activeDeadlineSeconds } = template.spec
  if (restartPolicy !== undefined && restartPolicy !== 'Always')
    report.wrong(
      'spec.template.spec.restartPolicy',
      restartPolicy,
      'is not supported here: supported values: "Always"',
      'pods of this kind are kept running: use Always',
      'FieldValueNotSupported',
    )
  if (activeDeadlineSeconds !== undefined)
    report.refused(
      'spec.template.spec.activeDeadlineSeconds',
      'is not allowed here: pods of this kind are kept running',
    )
}

function validatePodTemplate(report: Report, path: string, { metadata, spec }: PodTemplateSpec): void {
  validateAnnotations(report, fieldPath(path, 'metadata'), metadata)
  validatePodSpec(report, fieldPath(path, 'spec'), spec)
  refuseEphemeralContainers(report, fieldPath(path, 'spec'), spec)
  validatePodNetworks(report, fieldPath(path, 'metadata'), metadata, spec)
}

function validateWorkloadSelector(
  report: Report,
  selector: LabelSelector,
  template: PodTemplateSpec | undefined,
): void {
  const { matchLabels = {}, matchExpressions = [] } = selector
  if (Object.keys(matchLabels).length + matchExpressions.length === 0) {
    report.refused(
      'spec.selector',
      'is empty: it would match every pod of the namespace',
      'give matchLabels',
      'FieldValueInvalid',
    )
    return
  }
  if (!validateSelector(report, 'spec.selector', selector) || template === undefined) return
  const labels = template.metadata.labels ?? {}
  if (!labelSelectorMatcher(selector).matches(labels))
    report.wrong(
      'spec.template.metadata.labels',
      labels,
      'are not matched by spec.selector',
      'give the template the labels that the selector asks for',
    )
}

function validateStrategy(report: Report, { strategy }: DeploymentSpec): void {
  const { type, rollingUpdate } = strategy ?? {}
  if (rollingUpdate === undefined) return
  if (type === 'Recreate') {
    report.refused('spec.strategy.rollingUpdate', 'is not allowed with type Recreate')
    return
  }
  const { maxSurge, maxUnavailable } = rollingUpdate
  if (amount(maxUnavailable) > 100 && typeof maxUnavailable === 'string')
    report.wrong('spec.strategy.rollingUpdate.maxUnavailable', maxUnavailable, 'is more than all', 'give at most 100%')
  if (amount(maxSurge) === 0 && amount(maxUnavailable) === 0) {
    report.wrong(
      'spec.strategy.rollingUpdate.maxUnavailable',
      maxUnavailable,
      'cannot be 0 when maxSurge is 0 too',
      'no pod could ever be replaced: raise one of the two',
    )
  }
}

/** The number before a percent sign, or the count; NaN for what is absent. */
function amount(value: number | string | undefined): number {
  return typeof value === 'string' ? Number.parseInt(value, 10) : (value ?? NaN)
}
