/**
 * Whether an object is as it must be: the options of its schema, then the rules that hold between fields, those of Kubernetes. Called by the
 * API on every write, after defaulting; status is not looked at. Each rule is in validation/, by what it is about.
 */
import type { AnyResource, ErrorDetail, Kind, Resources } from '../gen/types.ts'
import { validateEvent, validateNode, validateNodeUpdate } from './validation/cluster.ts'
import { validateConfigMap, validateConfigMapUpdate, validateSecret, validateSecretUpdate } from './validation/configuration.ts'
import { validateMetadata, validateMetadataUpdate } from './validation/metadata.ts'
import { validatePodUpdate } from './validation/pod-update.ts'
import { validatePodSpec } from './validation/pod.ts'
import { Report } from './validation/report.ts'
import { validateFields, validateFrozen } from './validation/schema.ts'
import { validateDeployment, validateReplicaSet } from './validation/workload.ts'

type Rule<K extends Kind> = (report: Report, object: Resources[K]) => void
type UpdateRule<K extends Kind> = (report: Report, next: Resources[K], previous: Resources[K]) => void

/** The rules between the fields of a kind. */
const RULES: { readonly [K in Kind]?: Rule<K> } = {
  Pod: (report, pod) => validatePodSpec(report, 'spec', pod.spec),
  ReplicaSet: validateReplicaSet,
  Deployment: validateDeployment,
  ConfigMap: validateConfigMap,
  Secret: validateSecret,
  Node: validateNode,
  Event: validateEvent,
}

/** What of a kind may change. */
const UPDATE_RULES: { readonly [K in Kind]?: UpdateRule<K> } = {
  Pod: validatePodUpdate,
  ConfigMap: validateConfigMapUpdate,
  Secret: validateSecretUpdate,
  Node: validateNodeUpdate,
}

/** What is wrong with an object; empty if nothing is. */
export function validate(object: AnyResource): ErrorDetail[] {
  const report = new Report()
  validateMetadata(report, object)
  validateFields(report, object.kind, object as unknown as Record<string, unknown>)
  ;(RULES[object.kind] as Rule<Kind> | undefined)?.(report, object)
  return report.details
}

/** What is wrong with a change from one state of an object to the next: what `validate` says of the next, and what may not change. */
export function validateUpdate(next: AnyResource, previous: AnyResource): ErrorDetail[] {
  const report = new Report()
  validateMetadataUpdate(report, next.metadata, previous.metadata)
  validateFrozen(report, next.kind, next as unknown as Record<string, unknown>, previous as unknown as Record<string, unknown>)
  ;(UPDATE_RULES[next.kind] as UpdateRule<Kind> | undefined)?.(report, next, previous)
  return [...validate(next), ...report.details]
}
