/** All reconcilers there are. */
import { ApiServiceReconciler } from './apiservice/reconciler.ts'
import { DefinitionReconciler } from './definition/reconciler.ts'
import { DeploymentReconciler } from './deployment/reconciler.ts'
import { EndpointsReconciler } from './endpoints/reconciler.ts'
import { EndpointSliceMirror } from './endpointslicemirroring/reconciler.ts'
import { EndpointSliceReconciler } from './endpointslice/reconciler.ts'
import { IngressClassReconciler } from './ingress/class-reconciler.ts'
import { GatewayStatusReconciler } from './ingress/gateway-reconciler.ts'
import { IngressStatusReconciler } from './ingress/ingress-reconciler.ts'
import { RouteStatusReconciler } from './ingress/route-reconciler.ts'
import { TaintEvictor } from './eviction/reconciler.ts'
import { GarbageReconciler } from './garbage/reconciler.ts'
import { NetworkReconciler } from './network/reconciler.ts'
import { LoadBalancerReconciler } from './loadbalancer/reconciler.ts'
import { NamespaceReconciler } from './namespace/reconciler.ts'
import { NeverReportedNodes } from '../nodehealth/never-reported.ts'
import { OrphanedNodeReconciler } from '../nodehealth/orphaned-node-reconciler.ts'
import { PodHealthReconciler } from '../nodehealth/pod-reconciler.ts'
import { NodeHealthReconciler } from '../nodehealth/reconciler.ts'
import { PodCollector } from './podgc/reconciler.ts'
import { ReplicaSetReconciler } from './replicaset/reconciler.ts'
import { ReplicationControllerReconciler } from './replicationcontroller/reconciler.ts'
import type { Reconciler, ReconcileParts } from '../runner/runner.ts'
import { ServiceAccountReconciler } from './serviceaccount/reconciler.ts'

/** Made anew for every term: what they remember is of one leadership. */
export function createReconcilers(parts: ReconcileParts): Reconciler[] {
  return [
    new DefinitionReconciler(parts),
    new DeploymentReconciler(parts),
    new ReplicaSetReconciler(parts),
    new ReplicationControllerReconciler(parts),
    new GarbageReconciler(parts),
    new NamespaceReconciler(parts),
    new PodCollector(parts),
    new TaintEvictor(parts),
    new NetworkReconciler(parts),
    new OrphanedNodeReconciler(parts),
    new NodeHealthReconciler(parts),
    new NeverReportedNodes(parts),
    new PodHealthReconciler(parts),
    new EndpointSliceReconciler(parts),
    new LoadBalancerReconciler(parts),
    new ApiServiceReconciler(parts),
    new ServiceAccountReconciler(parts),
    new EndpointsReconciler(parts),
    new EndpointSliceMirror(parts),
    new IngressClassReconciler(parts),
    new IngressStatusReconciler(parts),
    new GatewayStatusReconciler(parts),
    new RouteStatusReconciler(parts),
  ]
}
