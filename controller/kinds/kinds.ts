/**
 * The strategies of all kinds: the table in which a new kind of the schema has to be entered, which the compiler sees
 * to, and the registry that a control plane hands to its parts.
 */
import type { Kind } from '../../proto/gen/types.ts'
import {
  mutatingWebhookConfigurationStrategy,
  validatingAdmissionPolicyBindingStrategy,
  validatingAdmissionPolicyStrategy,
  validatingWebhookConfigurationStrategy,
} from './admission-configurations.ts'
import { customObjectStrategy } from './custom-object.ts'
import { customResourceDefinitionStrategy } from './custom-resource-definition.ts'
import { deploymentStrategy } from './deployment.ts'
import { namespaceStrategy } from './namespace.ts'
import { networkStrategy } from './network.ts'
import { nodeStrategy } from './node.ts'
import { podTemplateStrategy } from './pod-template.ts'
import { podStrategy } from './pod.ts'
import { replicaSetStrategy } from './replica-set.ts'
import { replicationControllerStrategy } from './replication-controller.ts'
import { secretStrategy } from './secret.ts'
import { serviceStrategy } from './service.ts'
import { plain, type Strategy } from './strategy.ts'

/** Every kind of the schema that has a strategy of its own, or has nothing special. */
const STRATEGIES: { readonly [K in Kind]: Strategy<K> } = {
  ConfigMap: plain,
  CustomResourceDefinition: customResourceDefinitionStrategy,
  Deployment: deploymentStrategy,
  EndpointSlice: plain,
  Endpoints: plain,
  Event: plain,
  Gateway: plain,
  GatewayClass: plain,
  HTTPRoute: plain,
  Ingress: plain,
  IngressClass: plain,
  Lease: plain,
  MutatingWebhookConfiguration: mutatingWebhookConfigurationStrategy,
  Namespace: namespaceStrategy,
  Network: networkStrategy,
  NetworkPolicy: plain,
  Node: nodeStrategy,
  Pod: podStrategy,
  PodTemplate: podTemplateStrategy,
  ReferenceGrant: plain,
  ReplicaSet: replicaSetStrategy,
  ReplicationController: replicationControllerStrategy,
  Secret: secretStrategy,
  Service: serviceStrategy,
  ServiceAccount: plain,
  ValidatingAdmissionPolicy: validatingAdmissionPolicyStrategy,
  ValidatingAdmissionPolicyBinding: validatingAdmissionPolicyBindingStrategy,
  ValidatingWebhookConfiguration: validatingWebhookConfigurationStrategy,
}

/** What is special about each kind, for the parts of one control plane: each is given it and asks it. */
export interface Kinds {
  /** Of a kind of the schema, or one that a definition defines or has defined. */
  of<K extends Kind>(kind: K): Strategy<K>
  /** Every kind of the schema with its strategy. */
  all(): readonly (readonly [Kind, Strategy])[]
}

class StrategyRegistry implements Kinds {
  of<K extends Kind>(kind: K): Strategy<K> {
    return (Object.hasOwn(STRATEGIES, kind) ? STRATEGIES[kind] : customObjectStrategy) as Strategy<K>
  }

  all(): readonly (readonly [Kind, Strategy])[] {
    return Object.entries(STRATEGIES) as unknown as (readonly [Kind, Strategy])[]
  }
}

/** The registry of one control plane. */
export function createKinds(): Kinds {
  return new StrategyRegistry()
}
