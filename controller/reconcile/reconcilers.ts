/** All reconcilers there are. */
import { DeploymentReconciler } from './deployment/reconciler.ts'
import { TaintEvictor } from './eviction/reconciler.ts'
import { GarbageReconciler } from './garbage/reconciler.ts'
import { NamespaceReconciler } from './namespace/reconciler.ts'
import { PodCollector } from './podgc/reconciler.ts'
import { ReplicaSetReconciler } from './replicaset/reconciler.ts'
import type { Reconciler, ReconcileParts } from './runner.ts'

/** Made anew for every term: what they remember is of one leadership. */
export function createReconcilers(parts: ReconcileParts): Reconciler[] {
  return [new DeploymentReconciler(parts), new ReplicaSetReconciler(parts), new GarbageReconciler(parts), new NamespaceReconciler(parts), new PodCollector(parts), new TaintEvictor(parts)]
}
