/**
 * Whether an object is as it must be: the options of its schema, then the rules that hold between fields, those of
 * Kubernetes. Called by the API on every write, after defaulting. Its status is judged by `validateStatus` alone. Each
 * rule is in validation/, by what it is about.
 */
import type { AnyResource, ErrorDetail, Kind, Resources } from '../gen/types.ts'
import { customKinds } from './custom/definitions.ts'
import { validateCustom } from './custom/object-validation.ts'
import type { Subresource } from './ownership.ts'
import { validatePolicy, validatePolicyBinding, validateWebhooks } from './validation/admission.ts'
import { validateEvent, validateNode, validateNodeUpdate } from './validation/cluster.ts'
import {
  validateConfigMap,
  validateConfigMapUpdate,
  validateSecret,
  validateSecretUpdate,
} from './validation/configuration.ts'
import { validateDefinition, validateDefinitionUpdate } from './validation/definition.ts'
import { validateEndpointSlice } from './validation/endpoint-slice.ts'
import { validateEndpoints } from './validation/endpoints.ts'
import {
  validateGateway,
  validateGatewayClass,
  validateHTTPRoute,
  validateReferenceGrant,
} from './validation/gateway.ts'
import { validateIngress } from './validation/ingress.ts'
import { validateMetadata, validateMetadataUpdate } from './validation/metadata.ts'
import { validateNetwork, validatePodNetworks } from './validation/network.ts'
import { validateNetworkPolicy } from './validation/network-policy.ts'
import { validatePodUpdate } from './validation/pod-update.ts'
import { refuseEphemeralContainers, validatePodSpec } from './validation/pod.ts'
import { Report } from './validation/report.ts'
import { validateFields, validateFrozen } from './validation/schema.ts'
import { validateServiceAccount } from './validation/service-account.ts'
import { validateService, validateServiceUpdate } from './validation/service.ts'
export { validateStatus } from './validation/status.ts'
import { validateDeployment, validateReplicaSet } from './validation/workload.ts'

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
