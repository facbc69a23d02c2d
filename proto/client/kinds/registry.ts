/** The record of every kind. A kind of the schema that is missing here does not compile. */
import type { KnownKinds } from '../../schema/kind-registry.ts'
import type { AnyResource, Kind } from '../../gen/types.ts'
import { customRecord } from './custom.ts'
import type { KindRecord } from './kind-record.ts'
import type { Readiness } from './readiness.ts'
import { configMap } from './config-map.ts'
import { customResourceDefinition } from './custom-resource-definition.ts'
import { deployment } from './deployment.ts'
import { endpointSlice } from './endpoint-slice.ts'
import { endpoints } from './endpoints.ts'
import { event } from './event.ts'
import { gateway } from './gateway.ts'
import { gatewayClass } from './gateway-class.ts'
import { httpRoute } from './http-route.ts'
import { ingress } from './ingress.ts'
import { ingressClass } from './ingress-class.ts'
import { lease } from './lease.ts'
import { namespace } from './namespace.ts'
import { network } from './network.ts'
import { networkPolicy } from './network-policy.ts'
import { node } from './node.ts'
import { pod } from './pod.ts'
import { podTemplate } from './pod-template.ts'
import { referenceGrant } from './reference-grant.ts'
import { replicaSet } from './replica-set.ts'
import { replicationController } from './replication-controller.ts'
import { secret } from './secret.ts'
import { service } from './service.ts'
import { serviceAccount } from './service-account.ts'
import {
  mutatingWebhookConfiguration,
  validatingAdmissionPolicy,
  validatingAdmissionPolicyBinding,
  validatingWebhookConfiguration,
} from './admission.ts'

const RECORDS: { readonly [K in Kind]: KindRecord<K> } = {
  ConfigMap: configMap,
  CustomResourceDefinition: customResourceDefinition,
  Deployment: deployment,
  Endpoints: endpoints,
  EndpointSlice: endpointSlice,
  Event: event,
  Gateway: gateway,
  GatewayClass: gatewayClass,
  HTTPRoute: httpRoute,
  Ingress: ingress,
  IngressClass: ingressClass,
  Lease: lease,
  MutatingWebhookConfiguration: mutatingWebhookConfiguration,
  Namespace: namespace,
  Network: network,
  NetworkPolicy: networkPolicy,
  Node: node,
  Pod: pod,
  PodTemplate: podTemplate,
  ReferenceGrant: referenceGrant,
  ReplicaSet: replicaSet,
  ReplicationController: replicationController,
  Secret: secret,
  Service: service,
  ServiceAccount: serviceAccount,
  ValidatingAdmissionPolicy: validatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding: validatingAdmissionPolicyBinding,
  ValidatingWebhookConfiguration: validatingWebhookConfiguration,
}

/** Never undefined: of a kind that is not in the schema it is what all kinds have that definitions define. */
export function recordOf<K extends Kind>(kind: K): KindRecord<K> {
  return Object.hasOwn(RECORDS, kind) ? RECORDS[kind] : (customRecord(kind) as KindRecord<K>)
}

/** Those of the known kinds, custom ones included, whose records have an ability, in the order of the registry. */
export function kindsWith(has: (record: KindRecord) => boolean, known: KnownKinds): Kind[] {
  return known.kinds().filter((kind) => has(recordOf(kind)))
}

export function readinessOf(object: AnyResource): Readiness {
  return recordOf(object.kind).readiness(object)
}
