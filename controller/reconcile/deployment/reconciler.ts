/** Applies what the plan for a Deployment says. */
import { GantryError } from '../../../proto/base/errors.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Deployment, DeploymentStatus } from '../../../proto/gen/types.ts'
import type { Draft, WriteContext } from '../../api/contract.ts'
import type { Change } from '../../informer/contract.ts'
import { controllerOf } from '../../../proto/objects/owners.ts'
import { ControllerRefManager } from '../controller-ref-manager.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { isTerminal } from '../../../proto/objects/pod.ts'
import { WriteExpectations } from '../write-expectations.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { planDeployment, type DeploymentChange } from './plan.ts'
import { CREATE_ERROR, withCreateError } from './status.ts'
import { REVISION, sameTemplate } from './template.ts'

export class DeploymentReconciler implements Reconciler {
  readonly name = 'deployment'
  readonly concurrency = 16
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  readonly #progress: WriteExpectations
  readonly #claims: ControllerRefManager<'Deployment', 'ReplicaSet'>

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.#progress = new WriteExpectations(parts)
    this.#claims = new ControllerRefManager(parts, {
      owner: 'Deployment',
      owned: 'ReplicaSet',
      context: this.#context,
      progress: this.#progress,
      adoptable: () => true,
    })
    this.watches = [
      watchSource('Deployment', (change) => [keyOf(change.cached.object)]),
      watchSource('ReplicaSet', (change) => this.#claims.keys(change)),
      watchSource('Pod', (change) => this.#waitingForPod(change)),
    ]
  }

  async reconcile(key: string): Promise<number | undefined> {
    await this.#progress.reached(key)
    const { namespace, name } = splitKey(key)
    const { informer, clock } = this.#parts
    const deployment = informer.lister('Deployment').get(namespace, name)
    if (deployment === undefined) {
      this.#progress.forget(key)
      return undefined
    }
    const replicaSets = await this.#claims.settle(key, deployment)
    const plan = planDeployment(
      { deployment, replicaSets, podsOf: ({ metadata }) => informer.lister('Pod').byIndex('owner', metadata.uid) },
      clock.now(),
    )
    const results = await Promise.allSettled(plan.changes.map((change) => this.#apply(key, deployment, change)))
    const failure = results.find((result) => result.status === 'rejected')
    if (failure === undefined && plan.revision !== undefined) await this.#setRevision(key, deployment, plan.revision)
    const creation = results.find(
      (result, index) => result.status === 'rejected' && plan.changes[index]!.kind === 'create',
    )
    await this.#writeStatus(
      key,
      deployment,
      creation?.status === 'rejected' ? this.#refused(deployment, plan.status, creation.reason) : plan.status,
    )
    if (failure !== undefined) throw failure.reason
    return plan.requeueAfterMs
  }

  /** A Recreate goes on when the last old pod has ended; all else is told by the ReplicaSets. */
  #waitingForPod(change: Change<'Pod'>): string[] {
    const pod = change.cached.object
    if (change.type !== 'deleted' && !isTerminal(pod)) return []
    const owner = controllerOf(pod)
    if (owner?.kind !== 'ReplicaSet') return []
    const { informer } = this.#parts
    const replicaSet = informer.lister('ReplicaSet').get(pod.metadata.namespace, owner.name)
    const controller = replicaSet === undefined ? undefined : controllerOf(replicaSet)
    if (controller?.kind !== 'Deployment') return []
    const deployment = informer.lister('Deployment').get(pod.metadata.namespace, controller.name)
    return deployment?.spec.strategy.type === 'Recreate' ? [makeKey(pod.metadata.namespace, controller.name)] : []
  }

  async #apply(key: string, deployment: Deployment, change: DeploymentChange): Promise<void> {
    switch (change.kind) {
      case 'create':
        return this.#create(key, deployment, change.draft, change.replicas)
      case 'update':
        return this.#update(key, deployment, change)
      case 'delete': {
        const { namespace, name, uid, resourceVersion } = change.replicaSet.metadata
        await this.#parts.api.delete('ReplicaSet', namespace, name, { uid, resourceVersion }, this.#context)
      }
    }
  }

  async #create(key: string, deployment: Deployment, draft: Draft<'ReplicaSet'>, replicas: number): Promise<void> {
    try {
      const created = await this.#parts.api.create(draft, this.#context)
      this.#progress.wrote(key, created)
      if (replicas > 0)
        this.#record(
          deployment,
          'Normal',
          'ScalingReplicaSet',
          `Scaled up replica set ${created.metadata.name} from 0 to ${replicas}`,
        )
    } catch (thrown) {
      this.#progress.failed(key, thrown)
      if (GantryError.is(thrown, 'AlreadyExists')) return this.#resolveCollision(key, deployment, draft)
      throw thrown
    }
  }

  /** The status that says why the ReplicaSet could not be made; what is new in it is told as an event. */
  #refused(deployment: Deployment, status: DeploymentStatus, thrown: unknown): DeploymentStatus {
    const message = `Failed to create the new replica set: ${GantryError.from(thrown).message}`
    if (findCondition(deployment.status.conditions, 'Progressing')?.message !== message)
      this.#record(deployment, 'Warning', CREATE_ERROR, message)
    return withCreateError(status, message, this.#parts.clock.now())
  }

  /**
   * The name is taken: by what an earlier pass made, which the cache will show, or by something else, so that another
   * name is needed.
   */
  async #resolveCollision(key: string, deployment: Deployment, draft: Draft<'ReplicaSet'>): Promise<void> {
    const { api } = this.#parts
    const { namespace, name, uid } = deployment.metadata
    const taken = await api.get('ReplicaSet', namespace, draft.metadata.name!)
    this.#progress.wrote(key, taken)
    if (controllerOf(taken)?.uid === uid && sameTemplate(taken.spec.template, deployment.spec.template)) return
    const collisions = deployment.status.collisionCount ?? 0
    const written = await api.mutate(
      'Deployment',
      namespace,
      name,
      'status',
      (stored) => {
        if (stored.metadata.uid !== uid || (stored.status.collisionCount ?? 0) !== collisions) return false
        stored.status.collisionCount = collisions + 1
        return undefined
      },
      this.#context,
    )
    this.#progress.wrote(key, written)
  }

  async #update(
    key: string,
    deployment: Deployment,
    { replicaSet, replicas, annotations, minReadySeconds }: DeploymentChange & { kind: 'update' },
  ): Promise<void> {
    const { namespace, name, uid } = replicaSet.metadata
    const before = replicaSet.spec.replicas
    const written = await this.#parts.api.mutate(
      'ReplicaSet',
      namespace,
      name,
      '',
      (stored) => {
        if (stored.metadata.uid !== uid) return false
        stored.metadata.annotations = { ...stored.metadata.annotations, ...annotations }
        stored.spec.replicas = replicas
        if (minReadySeconds === undefined) delete stored.spec.minReadySeconds
        else stored.spec.minReadySeconds = minReadySeconds
        return undefined
      },
      this.#context,
    )
    this.#progress.wrote(key, written)
    if (replicas !== before)
      this.#record(
        deployment,
        'Normal',
        'ScalingReplicaSet',
        `Scaled ${replicas > before ? 'up' : 'down'} replica set ${name} from ${before} to ${replicas}`,
      )
  }

  async #setRevision(key: string, deployment: Deployment, revision: string): Promise<void> {
    const { namespace, name, uid } = deployment.metadata
    const written = await this.#parts.api.mutate(
      'Deployment',
      namespace,
      name,
      '',
      (stored) => {
        if (stored.metadata.uid !== uid) return false
        stored.metadata.annotations = { ...stored.metadata.annotations, [REVISION]: revision }
        return undefined
      },
      this.#context,
    )
    this.#progress.wrote(key, written)
  }

  /** collisionCount stays as stored: only a collision changes it. */
  async #writeStatus(key: string, deployment: Deployment, status: DeploymentStatus): Promise<void> {
    if (sameJson(comparable(status), comparable(deployment.status))) return
    const { namespace, name, uid } = deployment.metadata
    const written = await this.#parts.api.mutate(
      'Deployment',
      namespace,
      name,
      'status',
      (stored) => {
        if (stored.metadata.uid !== uid) return false
        stored.status = { ...status, collisionCount: stored.status.collisionCount }
        return undefined
      },
      this.#context,
    )
    this.#progress.wrote(key, written)
  }

  #record(regarding: Deployment, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#parts.events.record({ regarding, type, reason, message, component: `${this.name}-controller` })
  }
}

/** Counts that are absent are 0. */
function comparable({
  observedGeneration = 0,
  replicas = 0,
  updatedReplicas = 0,
  readyReplicas = 0,
  availableReplicas = 0,
  unavailableReplicas = 0,
  conditions = [],
}: DeploymentStatus): unknown {
  return {
    observedGeneration,
    replicas,
    updatedReplicas,
    readyReplicas,
    availableReplicas,
    unavailableReplicas,
    conditions,
  }
}
