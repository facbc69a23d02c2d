/**
 * Keeps as many pods of each ReplicationController as it wants, by the plan of ReplicaSets: the two differ in how they
 * say which pods are theirs.
 */
import type { ReconcileParts } from '../../runner/runner.ts'
import { ReplicaReconciler } from '../replicaset/replica-reconciler.ts'

export class ReplicationControllerReconciler extends ReplicaReconciler<'ReplicationController'> {
  constructor(parts: ReconcileParts) {
    super(parts, { kind: 'ReplicationController', name: 'replication' })
  }
}
