/** The rules of every kind. The compiler refuses a kind that is not entered here. */
import type { Kind } from '../gen/types.ts'
import { mutatingWebhookRules, policyBindingRules, policyRules, validatingWebhookRules } from './admission.ts'
import { eventRules, nodeRules } from './cluster.ts'
import { configMapRules, secretRules } from './configuration.ts'
import { definitionRules } from './definition.ts'
import { endpointSliceRules } from './endpoint-slice.ts'
import { endpointsRules } from './endpoints.ts'
import { gatewayClassRules, gatewayRules, httpRouteRules, referenceGrantRules } from './gateway.ts'
import { ingressRules } from './ingress.ts'
import { noRules, type KindRules } from './kind-rules.ts'
import { networkPolicyRules } from './network-policy.ts'
import { networkRules } from './network.ts'
import { podRules } from './pod-rules.ts'
import { serviceAccountRules } from './service-account.ts'
import { serviceRules } from './service.ts'
import { deploymentRules, podTemplateRules, replicaSetRules, replicationControllerRules } from './workload.ts'

const RULES: { readonly [K in Kind]: KindRules<K> } = {
  ConfigMap: configMapRules,
  CustomResourceDefinition: definitionRules,
  Deployment: deploymentRules,
  EndpointSlice: endpointSliceRules,
  Endpoints: endpointsRules,
  Event: eventRules,
  Gateway: gatewayRules,
  GatewayClass: gatewayClassRules,
  HTTPRoute: httpRouteRules,
  Ingress: ingressRules,
  IngressClass: noRules,
  Lease: noRules,
  MutatingWebhookConfiguration: mutatingWebhookRules,
  Namespace: noRules,
  Network: networkRules,
  NetworkPolicy: networkPolicyRules,
  Node: nodeRules,
  Pod: podRules,
  PodTemplate: podTemplateRules,
  ReferenceGrant: referenceGrantRules,
  ReplicaSet: replicaSetRules,
  ReplicationController: replicationControllerRules,
  Secret: secretRules,
  Service: serviceRules,
  ServiceAccount: serviceAccountRules,
  ValidatingAdmissionPolicy: policyRules,
  ValidatingAdmissionPolicyBinding: policyBindingRules,
  ValidatingWebhookConfiguration: validatingWebhookRules,
}

/** Of a kind of the schema; a kind that a definition defines has its rules there. */
export function rulesOf<K extends Kind>(kind: K): KindRules<K> {
  return RULES[kind] as unknown as KindRules<K>
}
