/** Keeps as many pods of each ReplicaSet as it wants. */
import type { ReconcileParts } from '../../runner/runner.ts'
import { ReplicaReconciler } from './replica-reconciler.ts'

export class ReplicaSetReconciler extends ReplicaReconciler<'ReplicaSet'> {
  constructor(parts: ReconcileParts) {
    super(parts, { kind: 'ReplicaSet', name: 'replicaset' })
  }
}
