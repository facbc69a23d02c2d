import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatTime } from '../../../proto/base/time.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { HISTORY_LENGTH, planDeployment, type DeploymentPlan } from '../../../controller/reconcile/deployment/plan.ts'
import { boundsOf } from '../../../controller/reconcile/deployment/scale.ts'
import {
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  replicaSetDraft,
  REVISION,
  REVISION_HISTORY,
  revisionOf,
  templateHash,
} from '../../../controller/reconcile/deployment/template.ts'
import { planReplicas } from '../../../controller/reconcile/replicaset/plan.ts'
import type { Deployment, Pod, ReplicaSet } from '../../../proto/gen/types.ts'
import { deployment, metadata, pod, template } from '../objects.ts'

const NOW = Date.UTC(2026, 0, 1)

/**
 * A ReplicaSet of the Deployment for a template, with `size` pods wanted and as many available unless said otherwise.
 */
function replicaSetOf(
  owner: Deployment,
  image: string,
  size: number,
  revision: number | string,
  more: { available?: number; age?: number; annotations?: Record<string, string> } = {},
): ReplicaSet {
  const draft = replicaSetDraft(
    { ...owner, spec: { ...owner.spec, template: template(image) } },
    templateHash(template(image), 0),
    size,
    {
      [REVISION]: String(revision),
      [DESIRED_REPLICAS]: String(owner.spec.replicas),
      [MAX_REPLICAS]: String(boundsOf(owner).maxPods),
      ...more.annotations,
    },
  )
  const { available = size } = more
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    spec: draft.spec as ReplicaSet['spec'],
    metadata: metadata(draft.metadata.name!, {
      ...draft.metadata,
      uid: `uid-${image}`,
      generation: 1,
      creationTimestamp: formatTime(NOW - (more.age ?? 100 - Number(revision)) * 1000),
    }),
    status: { replicas: size, readyReplicas: available, availableReplicas: available, observedGeneration: 1 },
  }
}

function plan(
  object: Deployment,
  replicaSets: ReplicaSet[],
  podsOf: (replicaSet: ReplicaSet) => Pod[] = () => [],
  now = NOW,
): DeploymentPlan {
  return planDeployment({ deployment: object, replicaSets, podsOf }, now)
}

/** "create 3", "uid-one 5", "delete uid-two": sizes only. */
function sizes({ changes }: DeploymentPlan): string[] {
  return changes.flatMap((change) => {
    switch (change.kind) {
      case 'create':
        return [`create ${change.replicas}`]
      case 'update':
        return change.replicas === change.replicaSet.spec.replicas
          ? []
          : [`${change.replicaSet.metadata.uid} ${change.replicas}`]
      case 'delete':
        return [`delete ${change.replicaSet.metadata.uid}`]
    }
  })
}

describe('Deployment bounds', () => {
  const table: [number, number | string | undefined, number | string | undefined, number, number][] = [
    [10, undefined, undefined, 13, 8],
    [10, '25%', '25%', 13, 8],
    [3, '25%', '25%', 4, 3],
    [1, '25%', '25%', 2, 1],
    [10, 0, 0, 10, 9],
    [4, '1%', '1%', 5, 4],
    [5, 2, 9, 7, 0],
    [0, '25%', '25%', 0, 0],
    [10, 0, '5%', 10, 9],
    [10, '100%', 0, 20, 10],
  ]
  for (const [replicas, maxSurge, maxUnavailable, most, least] of table) {
    it(`${replicas} replicas, surge ${maxSurge}, unavailable ${maxUnavailable}: ${least} to ${most}`, () => {
      const rollingUpdate = maxSurge === undefined ? undefined : { maxSurge, maxUnavailable: maxUnavailable! }
      assert.deepEqual(boundsOf(deployment('web', replicas, { strategy: { type: 'RollingUpdate', rollingUpdate } })), {
        maxPods: most,
        minAvailable: least,
      })
    })
  }
})

describe('Deployment plan', () => {
  it('makes the first ReplicaSet, named after its template', () => {
    const { changes, revision } = plan(deployment('web', 3), [])
    const [change] = changes
    assert.ok(change?.kind === 'create' && changes.length === 1)
    const hash = templateHash(template('one'), 0)
    assert.equal(change.draft.metadata.name, `web-${hash}`)
    assert.deepEqual(change.draft.metadata.annotations, {
      [REVISION]: '1',
      [DESIRED_REPLICAS]: '3',
      [MAX_REPLICAS]: '4',
    })
    const spec = change.draft.spec as ReplicaSet['spec']
    assert.deepEqual(
      [spec.replicas, spec.selector.matchLabels, spec.template.metadata.labels],
      [3, { app: 'web', 'pod-template-hash': hash }, { app: 'web', 'pod-template-hash': hash }],
    )
    assert.equal(revision, '1')
  })

  it('hashes equal templates alike, whatever the order of their fields', () => {
    const { metadata: labels, spec } = template('one')
    assert.equal(templateHash({ spec, metadata: labels }, 0), templateHash(template('one'), 0))
    assert.notEqual(templateHash(template('one'), 1), templateHash(template('one'), 0))
    assert.notEqual(templateHash(template('two'), 0), templateHash(template('one'), 0))
  })

  it('begins a rollout within the surge', () => {
    const web = deployment('web', 10, { template: template('two') })
    assert.deepEqual(sizes(plan(web, [replicaSetOf(web, 'one', 10, 1)])), ['create 3'])
  })

  it('shrinks the old by what is available beyond the least', () => {
    const web = deployment('web', 10, { template: template('two') })
    assert.deepEqual(
      sizes(plan(web, [replicaSetOf(web, 'one', 10, 1), replicaSetOf(web, 'two', 3, 2, { available: 0 })])),
      ['uid-one 8'],
    )
    assert.deepEqual(
      sizes(plan(web, [replicaSetOf(web, 'one', 8, 1), replicaSetOf(web, 'two', 3, 2, { available: 3 })])),
      ['uid-one 5', 'uid-two 5'],
    )
  })

  it('removes old pods that are not available first', () => {
    const web = deployment('web', 10, { template: template('three') })
    const old = [replicaSetOf(web, 'one', 4, 1, { available: 1 }), replicaSetOf(web, 'two', 6, 2, { available: 6 })]
    assert.deepEqual(sizes(plan(web, [...old, replicaSetOf(web, 'three', 3, 3, { available: 1 })])), ['uid-one 1'])
  })

  it('counts revisions beyond 2^53 exactly', () => {
    const web = deployment('web', 2)
    const { revision } = plan(web, [
      replicaSetOf(web, 'one', 0, '9007199254740992', { age: 2 }),
      replicaSetOf(web, 'two', 2, '9007199254740993', { age: 1 }),
    ])
    assert.equal(revision, '9007199254740994')
    for (const [text, number] of [
      ['9223372036854775807', 9223372036854775807n],
      ['9223372036854775808', 0n],
      ['-1', -1n],
      ['1e3', 0n],
      ['1.5', 0n],
      ['0x10', 0n],
      ['', 0n],
      ['+7', 7n],
    ] as const) {
      assert.equal(revisionOf(replicaSetOf(web, 'one', 0, text, { age: 1 })), number, text)
    }
  })

  it('forgets the oldest of many revisions that a ReplicaSet had', () => {
    const web = deployment('web', 2, { template: template('one') })
    const had = Array.from({ length: 1000 }, (_, index) => String(index + 1)).join(',')
    const { changes } = plan(web, [
      replicaSetOf(web, 'one', 0, 1001, { annotations: { [REVISION_HISTORY]: had } }),
      replicaSetOf(web, 'two', 2, 1002),
    ])
    const again = changes.find((change) => change.kind === 'update' && change.replicaSet.metadata.uid === 'uid-one')
    const history = again?.kind === 'update' ? again.annotations[REVISION_HISTORY]! : ''
    assert.ok(
      history.length <= HISTORY_LENGTH &&
        history.endsWith(',999,1000,1001') &&
        had.includes(history.replace(/,1001$/, '')),
      history,
    )
  })

  it('takes an old template up again under a new revision', () => {
    const web = deployment('web', 2, { template: template('one') })
    web.metadata.annotations = { 'kubernetes.io/change-cause': 'back to one' }
    const { changes, revision } = plan(web, [
      replicaSetOf(web, 'one', 0, 1, { annotations: { [REVISION_HISTORY]: '1' } }),
      replicaSetOf(web, 'two', 2, 3),
    ])
    const again = changes.find((change) => change.kind === 'update' && change.replicaSet.metadata.uid === 'uid-one')
    assert.ok(again?.kind === 'update')
    assert.deepEqual(
      [
        again.annotations[REVISION],
        again.annotations[REVISION_HISTORY],
        again.annotations['kubernetes.io/change-cause'],
      ],
      ['4', '1,1', 'back to one'],
    )
    assert.equal(again.replicas, 1)
    assert.equal(revision, '4')
  })

  it('changes nothing when nothing is to be done', () => {
    const web = deployment('web', 3)
    web.metadata.annotations = { [REVISION]: '1' }
    const { changes, revision } = plan(web, [replicaSetOf(web, 'one', 3, 1)])
    assert.deepEqual([changes, revision], [[], undefined])
  })

  it('with Recreate waits until every old pod has ended', () => {
    const web = deployment('web', 3, { template: template('two'), strategy: { type: 'Recreate' } })
    const old = replicaSetOf(web, 'one', 3, 1)
    assert.deepEqual(sizes(plan(web, [old])), ['uid-one 0'])
    const empty = replicaSetOf(web, 'one', 0, 1)
    const ending = pod('p', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' }, status: { phase: 'Running' } })
    assert.deepEqual(sizes(plan(web, [empty], () => [ending])), [])
    assert.deepEqual(sizes(plan(web, [empty], () => [pod('p', { status: { phase: 'Failed' } })])), ['create 3'])
    assert.deepEqual(sizes(plan(web, [empty, replicaSetOf(web, 'two', 0, 2)], () => [])), ['uid-two 3'])
  })

  it('when paused scales in proportion and rolls nothing', () => {
    const web = deployment('web', 20, {
      template: template('two'),
      paused: true,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } },
    })
    const before = { annotations: { [DESIRED_REPLICAS]: '10', [MAX_REPLICAS]: '13' } }
    assert.deepEqual(
      sizes(plan(web, [replicaSetOf(web, 'one', 8, 1, before), replicaSetOf(web, 'two', 5, 2, before)])),
      ['uid-one 14', 'uid-two 9'],
    )
    const third = deployment('web', 10, { template: template('three'), paused: true })
    assert.deepEqual(sizes(plan(third, [replicaSetOf(third, 'one', 10, 1)])), [])
  })

  it('scales before it rolls on', () => {
    const web = deployment('web', 6, { template: template('two') })
    assert.deepEqual(sizes(plan(web, [replicaSetOf(web, 'one', 3, 1, { annotations: { [DESIRED_REPLICAS]: '3' } })])), [
      'uid-one 6',
    ])
  })

  it('scales to nothing', () => {
    const web = deployment('web', 0, { template: template('two') })
    const before = { annotations: { [DESIRED_REPLICAS]: '5', [MAX_REPLICAS]: '7' } }
    assert.deepEqual(
      sizes(plan(web, [replicaSetOf(web, 'one', 4, 1, before), replicaSetOf(web, 'two', 3, 2, before)])),
      ['uid-one 0', 'uid-two 0'],
    )
  })

  it('keeps revisionHistoryLimit old ReplicaSets, the newest revisions', () => {
    const web = deployment('web', 1, { template: template('d'), revisionHistoryLimit: 1 })
    web.status.observedGeneration = 1
    const old = [replicaSetOf(web, 'a', 0, 3), replicaSetOf(web, 'b', 0, 1), replicaSetOf(web, 'c', 0, 2)]
    assert.deepEqual(sizes(plan(web, [...old, replicaSetOf(web, 'd', 1, 4)])), ['delete uid-b', 'delete uid-c'])
    assert.deepEqual(sizes(plan(web, [...old, replicaSetOf(web, 'd', 1, 4, { available: 0 })])), [])
  })

  it('does nothing while it is being deleted', () => {
    const web = deployment('web', 3)
    web.metadata.deletionTimestamp = formatTime(NOW)
    assert.deepEqual(plan(web, []).changes, [])
  })
})

describe('Deployment status', () => {
  const reason = ({ status }: DeploymentPlan, type: string): (string | undefined)[] => {
    const condition = findCondition(status.conditions, type)
    return [condition?.status, condition?.reason]
  }

  it('counts and says whether enough is available', () => {
    const web = deployment('web', 10, { template: template('two') })
    const short = plan(web, [
      replicaSetOf(web, 'one', 8, 1, { available: 6 }),
      replicaSetOf(web, 'two', 3, 2, { available: 1 }),
    ])
    const { conditions: _conditions, ...counts } = short.status
    assert.deepEqual(counts, {
      observedGeneration: 1,
      replicas: 11,
      updatedReplicas: 3,
      readyReplicas: 7,
      availableReplicas: 7,
      unavailableReplicas: 4,
    })
    assert.deepEqual(reason(short, 'Available'), ['False', 'MinimumReplicasUnavailable'])
    assert.deepEqual(reason(plan(web, [replicaSetOf(web, 'one', 8, 1)]), 'Available'), [
      'True',
      'MinimumReplicasAvailable',
    ])
  })

  it('tells a rollout from beginning to end', () => {
    const web = deployment('web', 2)
    const step = (available: number, now: number): DeploymentPlan => {
      const result = plan(web, [replicaSetOf(web, 'one', 2, 1, { available })], undefined, now)
      web.status = result.status
      return result
    }
    assert.deepEqual(reason(step(0, NOW), 'Progressing'), ['True', 'ReplicaSetUpdated'])
    assert.equal(step(0, NOW + 1000).requeueAfterMs, 599_000)
    const moved = step(1, NOW + 400_000)
    assert.equal(findCondition(moved.status.conditions, 'Progressing')?.lastUpdateTime, formatTime(NOW + 400_000))
    assert.equal(findCondition(moved.status.conditions, 'Progressing')?.lastTransitionTime, formatTime(NOW))
    assert.deepEqual(reason(step(1, NOW + 999_000), 'Progressing'), ['True', 'ReplicaSetUpdated'])
    assert.deepEqual(reason(step(1, NOW + 1_000_000), 'Progressing'), ['False', 'ProgressDeadlineExceeded'])
    assert.deepEqual(reason(step(2, NOW + 1_100_000), 'Progressing'), ['True', 'NewReplicaSetAvailable'])
    assert.deepEqual(reason(step(1, NOW + 1_200_000), 'Progressing'), ['True', 'NewReplicaSetAvailable'])
    assert.equal(web.status.conditions?.length, 2)
  })

  it('tells of pausing and resuming', () => {
    const web = deployment('web', 2, { paused: true })
    web.status = plan(web, [replicaSetOf(web, 'one', 2, 1, { available: 1 })]).status
    assert.deepEqual(reason({ status: web.status } as DeploymentPlan, 'Progressing'), ['Unknown', 'DeploymentPaused'])
    web.spec.paused = false
    assert.deepEqual(reason(plan(web, [replicaSetOf(web, 'one', 2, 1, { available: 1 })]), 'Progressing'), [
      'Unknown',
      'DeploymentResumed',
    ])
  })

  it('passes on why pods cannot be created', () => {
    const web = deployment('web', 2)
    const broken = replicaSetOf(web, 'one', 2, 1, { available: 0 })
    broken.status.conditions = [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'quota' }]
    web.status = plan(web, [broken]).status
    assert.deepEqual(reason({ status: web.status } as DeploymentPlan, 'ReplicaFailure'), ['True', 'FailedCreate'])
    assert.deepEqual(reason(plan(web, [replicaSetOf(web, 'one', 2, 1)]), 'ReplicaFailure'), [undefined, undefined])
  })
})

/**
 * Deployment, ReplicaSets and pods advanced in any order by their plans, with pods that become ready, and old ones that
 * fail, when chance will.
 */
class Rollout {
  readonly web: Deployment
  replicaSets: ReplicaSet[]
  pods: Pod[] = []
  #count = 0
  #now = NOW

  constructor(web: Deployment) {
    this.web = web
    this.replicaSets = [replicaSetOf(web, 'one', web.spec.replicas, 1)]
    this.web.spec.template = template('two')
    this.stepReplicaSets()
    for (const each of this.pods) this.makeReady(each)
    this.stepReplicaSets()
  }

  stepDeployment(): void {
    const { changes, status } = plan(this.web, this.replicaSets, (replicaSet) => this.podsOf(replicaSet), this.#now)
    this.web.status = status
    for (const change of changes) {
      switch (change.kind) {
        case 'create':
          this.replicaSets.push({
            apiVersion: 'apps/v1',
            kind: 'ReplicaSet',
            spec: change.draft.spec as ReplicaSet['spec'],
            status: {},
            metadata: metadata(change.draft.metadata.name!, {
              ...change.draft.metadata,
              uid: 'uid-two',
              creationTimestamp: formatTime(this.#now),
            }),
          })
          break
        case 'update':
          change.replicaSet.spec.replicas = change.replicas
          change.replicaSet.metadata.annotations = change.annotations
          break
        case 'delete':
          this.replicaSets = this.replicaSets.filter((other) => other !== change.replicaSet)
      }
    }
  }

  stepReplicaSets(which = this.replicaSets): void {
    for (const replicaSet of which) {
      const pods = this.podsOf(replicaSet)
      const { create, remove } = planReplicas({ owner: replicaSet, pods, related: this.pods }, this.#now)
      this.pods = this.pods.filter((each) => !remove.includes(each))
      for (let made = 0; made < create; made++)
        this.pods.push(
          pod(`p${this.#count++}`, {
            metadata: {
              ownerReferences: [
                {
                  apiVersion: 'apps/v1',
                  kind: 'ReplicaSet',
                  name: replicaSet.metadata.name,
                  uid: replicaSet.metadata.uid,
                },
              ],
            },
          }),
        )
      replicaSet.status = planReplicas(
        { owner: replicaSet, pods: this.podsOf(replicaSet), related: this.pods },
        this.#now,
      ).status
    }
  }

  makeReady(each: Pod): void {
    each.spec.nodeName = 'n'
    each.status = {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: formatTime(this.#now) }],
    }
  }

  pass(millis: number): void {
    this.#now += millis
  }

  podsOf(replicaSet: ReplicaSet): Pod[] {
    return this.pods.filter(({ metadata: { ownerReferences } }) => ownerReferences![0]!.uid === replicaSet.metadata.uid)
  }

  get available(): number {
    return this.pods.filter(({ status }) => status.conditions?.[0]?.status === 'True').length
  }

  get done(): boolean {
    return (
      this.replicaSets.every(
        (replicaSet) =>
          this.podsOf(replicaSet).length === (replicaSet.metadata.uid === 'uid-two' ? this.web.spec.replicas : 0),
      ) && this.available === this.web.spec.replicas
    )
  }
}

describe('a rollout under any timing', () => {
  const amount = fc.oneof(fc.nat(4), fc.constantFrom('0%', '10%', '25%', '50%', '100%'))
  const steps = fc.array(fc.tuple(fc.constantFrom('deployment', 'old', 'new', 'ready', 'ready'), fc.nat(1000)), {
    maxLength: 60,
  })

  it('stays within its bounds and ends', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        amount,
        amount,
        steps,
        (replicas, maxSurge, maxUnavailable, order) => {
          const rollout = new Rollout(
            deployment('web', replicas, {
              strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } },
            }),
          )
          const { maxPods: most, minAvailable: least } = boundsOf(rollout.web)
          const check = (): void => {
            const wanted = rollout.replicaSets.reduce((sum, { spec }) => sum + spec.replicas, 0)
            assert.ok(wanted <= most, `${wanted} pods wanted, at most ${most} allowed`)
            assert.ok(rollout.available >= least, `${rollout.available} pods available, at least ${least} needed`)
          }
          for (const [what, choice] of order) {
            rollout.pass(100)
            const waiting = rollout.pods.filter(({ status }) => status.conditions === undefined)
            if (what === 'deployment') rollout.stepDeployment()
            else if (what === 'ready')
              waiting
                .slice(choice % (waiting.length + 1))
                .slice(0, 1)
                .forEach((each) => rollout.makeReady(each))
            else
              rollout.stepReplicaSets(
                rollout.replicaSets.filter(({ metadata: { uid } }) => (uid === 'uid-two') === (what === 'new')),
              )
            check()
          }
          let rounds = 0
          while (!rollout.done) {
            assert.ok(rounds++ < 10 * replicas + 10, 'the rollout does not end')
            rollout.stepDeployment()
            rollout.stepReplicaSets()
            for (const each of rollout.pods) if (each.status.conditions === undefined) rollout.makeReady(each)
            rollout.stepReplicaSets()
            check()
          }
          rollout.stepReplicaSets() // their statuses may be older than the last pod's readiness
          rollout.stepDeployment()
          assert.equal(findCondition(rollout.web.status.conditions, 'Progressing')?.reason, 'NewReplicaSetAvailable')
        },
      ),
    )
  })

  it('with Recreate never runs old and new together', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), steps, (replicas, order) => {
        const rollout = new Rollout(deployment('web', replicas, { strategy: { type: 'Recreate' } }))
        const sequence = [
          ...order.map(([what]) => what),
          ...Array.from({ length: 20 }, () => ['deployment', 'old', 'new', 'ready']).flat(),
        ]
        for (const what of sequence) {
          if (what === 'deployment') rollout.stepDeployment()
          else if (what === 'ready') rollout.pods.forEach((each) => rollout.makeReady(each))
          else
            rollout.stepReplicaSets(
              rollout.replicaSets.filter(({ metadata: { uid } }) => (uid === 'uid-two') === (what === 'new')),
            )
          assert.ok(
            new Set(rollout.pods.map(({ metadata: { ownerReferences } }) => ownerReferences![0]!.uid)).size <= 1,
          )
        }
        assert.ok(rollout.done)
      }),
    )
  })
})
