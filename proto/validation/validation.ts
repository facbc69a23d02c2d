/**
 * Whether an object is as it must be: the options of its schema, then the rules that hold between fields, those of
 * Kubernetes. Called by the API on every write, after defaulting. Its status is judged by `validateStatus` alone. Each
 * rule is in validation/, by what it is about.
 */
import type { AnyResource, ErrorDetail, Kind, Resources } from '../gen/types.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import { validateCustom } from './custom/object-validation.ts'
import type { Subresource } from '../merge/ownership.ts'
import { validatePolicy, validatePolicyBinding, validateWebhooks } from './admission.ts'
import { validateEvent, validateNode, validateNodeUpdate } from './cluster.ts'
import { validateConfigMap, validateConfigMapUpdate, validateSecret, validateSecretUpdate } from './configuration.ts'
import { validateDefinition, validateDefinitionUpdate } from './definition.ts'
import { validateEndpointSlice } from './endpoint-slice.ts'
import { validateEndpoints } from './endpoints.ts'
import { validateGateway, validateGatewayClass, validateHTTPRoute, validateReferenceGrant } from './gateway.ts'
import { validateIngress } from './ingress.ts'
import { validateMetadata, validateMetadataUpdate } from './metadata.ts'
import { validateNetwork, validatePodNetworks } from './network.ts'
import { validateNetworkPolicy } from './network-policy.ts'
import { validatePodUpdate } from './pod-update.ts'
import { refuseEphemeralContainers, validatePodSpec } from './pod.ts'
import { Report } from './report.ts'
import { validateFields, validateFrozen } from './schema.ts'
import { validateServiceAccount } from './service-account.ts'
import { validateService, validateServiceUpdate } from './service.ts'
export { validateStatus } from './status.ts'
import { validateDeployment, validateReplicaSet } from './workload.ts'

type Rule<K extends Kind> = (report: Report, object: Resources[K]) => void
type UpdateRule<K extends Kind> = (
  report: Report,
  next: Resources[K],
  previous: Resources[K],
  subresource: Subresource,
) => void

/** The rules between the fields of a kind. */
const RULES: { readonly [K in Kind]?: Rule<K> } = {
  Pod: (report, pod) => {
    validatePodSpec(report, 'spec', pod.spec)
    validatePodNetworks(report, 'metadata', pod.metadata, pod.spec)
  },
  Network: validateNetwork,
  ReplicaSet: validateReplicaSet,
  Deployment: validateDeployment,
  ConfigMap: validateConfigMap,
  CustomResourceDefinition: validateDefinition,
  Secret: validateSecret,
  Node: validateNode,
  Event: validateEvent,
  Service: validateService,
  ServiceAccount: validateServiceAccount,
  MutatingWebhookConfiguration: validateWebhooks,
  ValidatingWebhookConfiguration: validateWebhooks,
  ValidatingAdmissionPolicy: validatePolicy,
  ValidatingAdmissionPolicyBinding: validatePolicyBinding,
  EndpointSlice: validateEndpointSlice,
  Endpoints: validateEndpoints,
  NetworkPolicy: validateNetworkPolicy,
  Ingress: validateIngress,
  GatewayClass: validateGatewayClass,
  Gateway: validateGateway,
  HTTPRoute: validateHTTPRoute,
  ReferenceGrant: validateReferenceGrant,
}

/** What of a kind may change. */
const UPDATE_RULES: { readonly [K in Kind]?: UpdateRule<K> } = {
  Pod: validatePodUpdate,
  ConfigMap: validateConfigMapUpdate,
  CustomResourceDefinition: validateDefinitionUpdate,
  Secret: validateSecretUpdate,
  Node: validateNodeUpdate,
  Service: validateServiceUpdate,
}

/**
 * What is wrong with an object; empty if nothing is. `previous`: what it was, of which a custom kind's schema asks
 * nothing any more.
 */
export function validate(object: AnyResource, previous?: AnyResource): ErrorDetail[] {
  const report = new Report()
  validateMetadata(report, object)
  const custom = customKinds.get(object.kind)
  if (custom !== undefined) {
    validateCustom(report, custom, object, previous)
    return report.details
  }
  validateFields(report, object.kind, object as unknown as Record<string, unknown>)
  ;(RULES[object.kind] as Rule<Kind> | undefined)?.(report, object)
  return report.details
}

/** What is wrong with an object that is to be created: what `validate` says, and what may only come later. */
export function validateNew(object: AnyResource): ErrorDetail[] {
  const report = new Report()
  if (object.kind === 'Pod') refuseEphemeralContainers(report, 'spec', object.spec)
  return [...validate(object), ...report.details]
}

/**
 * What is wrong with a change from one state of an object to the next, by way of a subresource if so: what `validate`
 * says of the next, and what may not change.
 */
export function validateUpdate(next: AnyResource, previous: AnyResource, subresource: Subresource = ''): ErrorDetail[] {
  const report = new Report()
  validateMetadataUpdate(report, next.metadata, previous.metadata)
  if (customKinds.get(next.kind) !== undefined) return [...validate(next, previous), ...report.details]
  validateFrozen(
    report,
    next.kind,
    next as unknown as Record<string, unknown>,
    previous as unknown as Record<string, unknown>,
  )
  ;(UPDATE_RULES[next.kind] as UpdateRule<Kind> | undefined)?.(report, next, previous, subresource)
  return [...validate(next), ...report.details]
}
