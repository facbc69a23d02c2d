/** Applies what the plan says for a kind whose objects each want a number of pods. */
import { GantryError } from '../../../proto/base/errors.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Pod, ReplicaSetStatus } from '../../../proto/gen/types.ts'
import type { Draft, WriteContext } from '../../api/contract.ts'
import { controllerOf, controllerReference } from '../../../proto/objects/owners.ts'
import { ControllerRefManager } from '../controller-ref-manager.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { keyOf, splitKey } from '../../runner/key.ts'
import { isTerminal } from '../../../proto/objects/pod.ts'
import { WriteExpectations } from '../write-expectations.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { planReplicas, withFailure, type ReplicaKind, type ReplicaOwner } from './plan.ts'

interface Failure {
  readonly reason: 'FailedCreate' | 'FailedDelete'
  readonly message: string
  readonly thrown: unknown
}

export class ReplicaReconciler<K extends ReplicaKind> implements Reconciler {
  readonly name: string
  readonly concurrency = 16
  readonly watches
  readonly #kind: K
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  readonly #progress: WriteExpectations
  readonly #claims: ControllerRefManager<K, 'Pod'>

  /** `name`: as logs, events and owners of fields have it. */
  constructor(parts: ReconcileParts, { kind, name }: { readonly kind: K; readonly name: string }) {
    this.#kind = kind
    this.name = name
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.#progress = new WriteExpectations(parts)
    this.#claims = new ControllerRefManager(parts, {
      owner: kind,
      owned: 'Pod',
      context: this.#context,
      progress: this.#progress,
      adoptable: (pod) => !isTerminal(pod),
    })
    this.watches = [
      watchSource<K>(kind, ({ type, cached: { object }, previous }) =>
        type === 'modified' && differInConditionsOnly(object, previous!.object) ? [] : [keyOf(object)],
      ),
      watchSource('Pod', (change) => this.#claims.keys(change)),
    ]
  }

  async reconcile(key: string): Promise<number | undefined> {
    await this.#progress.reached(key)
    const { namespace, name } = splitKey(key)
    const { informer, clock } = this.#parts
    const owner = informer.lister(this.#kind).get(namespace, name)
    if (owner === undefined) {
      this.#progress.forget(key)
      return undefined
    }
    const pods = await this.#claims.settle(key, owner)
    const plan = planReplicas({ owner, pods, related: this.#related(owner, pods) }, clock.now())
    const failures = [
      ...(await this.#create(key, owner, plan.create)),
      ...(await this.#remove(key, owner, plan.remove)),
    ]
    await this.#writeStatus(
      owner,
      withFailure(plan.status, failures.map(({ reason, message }) => ({ reason, message }))[0], clock.now()),
    )
    if (failures[0] !== undefined) throw failures[0].thrown
    return plan.requeueAfterMs
  }

  /** Pods of all objects of the kind with the same controller. */
  #related(owner: ReplicaOwner, pods: Pod[]): Pod[] {
    const controller = controllerOf(owner)
    if (controller === undefined || pods.length <= owner.spec.replicas) return pods
    const { informer } = this.#parts
    return informer
      .lister(this.#kind)
      .byIndex('owner', controller.uid)
      .flatMap(({ metadata }) => informer.lister('Pod').byIndex('owner', metadata.uid))
  }

  /** All at once: the API commits together what comes together. */
  async #create(key: string, owner: ReplicaOwner, count: number): Promise<Failure[]> {
    const results = await Promise.allSettled(
      Array.from({ length: count }, () => this.#parts.api.create(podOf(owner), this.#context)),
    )
    return results.flatMap((result) => {
      if (result.status === 'fulfilled') {
        this.#progress.wrote(key, result.value)
        this.#record(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${result.value.metadata.name}`)
        return []
      }
      this.#progress.failed(key, result.reason)
      return [
        {
          reason: 'FailedCreate',
          message: `cannot create a pod: ${GantryError.from(result.reason).message}`,
          thrown: result.reason as unknown,
        },
      ]
    })
  }

  async #remove(key: string, owner: ReplicaOwner, pods: readonly Pod[]): Promise<Failure[]> {
    const results = await Promise.all(
      pods.map(async ({ metadata: { namespace, name, uid } }): Promise<Failure[]> => {
        try {
          this.#progress.wrote(key, await this.#parts.api.delete('Pod', namespace, name, { uid }, this.#context))
          this.#record(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`)
          return []
        } catch (thrown) {
          if (GantryError.is(thrown, 'NotFound', 'Conflict')) return [] // that pod is gone already
          this.#progress.failed(key, thrown)
          return [
            {
              reason: 'FailedDelete',
              message: `cannot delete pod ${name}: ${GantryError.from(thrown).message}`,
              thrown,
            },
          ]
        }
      }),
    )
    return results.flat()
  }

  async #writeStatus(owner: ReplicaOwner, status: ReplicaSetStatus): Promise<void> {
    if (sameJson(comparable(status), comparable(owner.status))) return
    const { namespace, name, uid } = owner.metadata
    const before = findCondition(owner.status.conditions, 'ReplicaFailure')
    const failure = findCondition(status.conditions, 'ReplicaFailure')
    if (failure !== undefined && failure.message !== before?.message)
      this.#record(owner, 'Warning', failure.reason ?? 'FailedCreate', failure.message ?? '')
    await this.#parts.api.mutate(
      this.#kind,
      namespace,
      name,
      'status',
      (stored) => {
        if (stored.metadata.uid !== uid) return false
        stored.status = status
        return undefined
      },
      this.#context,
    )
  }

  #record(regarding: ReplicaOwner, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#parts.events.record({ regarding, type, reason, message, component: `${this.name}-controller` })
  }
}

/**
 * Such a change is the reconciler's own word of a failed pass, which is tried again in time. Its text may differ with
 * each try, by a generated name for example: if it counted as a change, the next try would follow at once.
 */
function differInConditionsOnly(one: ReplicaOwner, other: ReplicaOwner): boolean {
  const rest = ({ metadata, spec, status }: ReplicaOwner): unknown => {
    const { resourceVersion: _resourceVersion, managedFields: _managedFields, ...kept } = metadata
    return [kept, spec, comparable({ ...status, conditions: [] })]
  }
  return sameJson(rest(one), rest(other))
}

/** Counts that are absent are 0. */
function comparable({
  replicas = 0,
  fullyLabeledReplicas = 0,
  readyReplicas = 0,
  availableReplicas = 0,
  observedGeneration = 0,
  conditions = [],
}: ReplicaSetStatus): unknown {
  return { replicas, fullyLabeledReplicas, readyReplicas, availableReplicas, observedGeneration, conditions }
}

/** A pod after the template. */
function podOf(owner: ReplicaOwner): Draft<'Pod'> {
  const {
    metadata,
    spec: { template },
  } = owner
  const { labels, annotations, finalizers } = template.metadata ?? {}
  return {
    kind: 'Pod',
    metadata: {
      generateName: `${metadata.name}-`,
      namespace: metadata.namespace,
      labels: { ...labels },
      annotations: { ...annotations },
      finalizers: [...(finalizers ?? [])],
      ownerReferences: [controllerReference(owner)],
    },
    spec: template.spec,
  }
}
