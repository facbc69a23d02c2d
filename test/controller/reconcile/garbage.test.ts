import assert from 'node:assert/strict'
import { controllerReference } from '../../../proto/objects/owners.ts'
import { planOwned, type OwnerState } from '../../../controller/reconcile/garbage/plan.ts'
import { GarbageReconciler } from '../../../controller/reconcile/garbage/reconciler.ts'
import type { AnyResource, Kind, OwnerReference } from '../../../proto/gen/types.ts'
import { deployment, FakeCluster, metadata, pod, replicaSet } from './fake.ts'

const reference = (uid: string, more: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: uid,
  uid,
  ...more,
})
const context = { fieldManager: 'test' }

async function running(work: (cluster: FakeCluster) => Promise<void>): Promise<void> {
  const cluster = new FakeCluster()
  await cluster.running([new GarbageReconciler(cluster.parts)], () => work(cluster))
}

/** A Deployment that owns a ReplicaSet that owns two bound pods. */
function family(cluster: FakeCluster): void {
  const web = cluster.put(deployment('web', 2))
  const rs = replicaSet('rs', 2)
  rs.metadata.ownerReferences = [controllerReference(web)]
  const owner = cluster.put(rs)
  for (const name of ['a', 'b'])
    cluster.put(pod(name, { metadata: { ownerReferences: [controllerReference(owner)] }, spec: { nodeName: 'n1' } }))
}

const there = (cluster: FakeCluster): string[] =>
  (['Deployment', 'ReplicaSet', 'Pod'] as Kind[])
    .flatMap((kind) => cluster.list(kind) as AnyResource[])
    .map(({ metadata: { name, deletionTimestamp } }) => (deletionTimestamp === undefined ? name : `${name}, ending`))

describe('plan for an owned object', () => {
  const plan = (states: Record<string, OwnerState>, more: { finalizers?: string[]; dependents?: boolean } = {}) =>
    planOwned({
      object: pod('p', {
        metadata: { ownerReferences: Object.keys(states).map((uid) => reference(uid)), finalizers: more.finalizers },
      }),
      stateOf: ({ uid }) => states[uid]!,
      hasDependents: more.dependents ?? false,
    })
  const table: [string, ReturnType<typeof plan>, ReturnType<typeof plan>][] = [
    ['stays without owners', plan({}), { kind: 'keep' }],
    ['stays with its owner', plan({ a: 'present' }), { kind: 'keep' }],
    ['goes with its last owner', plan({ a: 'absent', b: 'absent' }), { kind: 'delete', propagation: 'BACKGROUND' }],
    [
      'loses owners that are gone while another is left',
      plan({ a: 'present', b: 'absent', c: 'waiting' }),
      { kind: 'disown', uids: ['b', 'c'] },
    ],
    ['goes for an owner that waits', plan({ a: 'waiting' }), { kind: 'delete', propagation: 'BACKGROUND' }],
    [
      'goes after what it owns itself for an owner that waits',
      plan({ a: 'waiting' }, { dependents: true }),
      { kind: 'delete', propagation: 'FOREGROUND' },
    ],
    [
      'leaves what it owns if its finalizer says so',
      plan({ a: 'absent' }, { finalizers: ['orphan'], dependents: true }),
      { kind: 'delete', propagation: 'ORPHAN' },
    ],
  ]
  for (const [what, actual, expected] of table) it(what, () => assert.deepEqual(actual, expected))
})

describe('garbage reconciler', () => {
  it('background: what is owned goes after its owner, level by level', () =>
    running(async (cluster) => {
      family(cluster)
      await cluster.settle()
      assert.deepEqual(there(cluster), ['web', 'rs', 'a', 'b'])
      await cluster.api.delete('Deployment', 'default', 'web', { propagation: 'BACKGROUND' }, context)
      await cluster.settle()
      assert.deepEqual(there(cluster), ['a, ending', 'b, ending'])
    }))

  it('foreground: owners wait for what they own', () =>
    running(async (cluster) => {
      family(cluster)
      await cluster.settle()
      await cluster.api.delete('Deployment', 'default', 'web', { propagation: 'FOREGROUND' }, context)
      await cluster.settle()
      assert.deepEqual(there(cluster), ['web, ending', 'rs, ending', 'a, ending', 'b, ending'])
      cluster.remove('Pod', 'a')
      await cluster.settle()
      assert.deepEqual(there(cluster), ['web, ending', 'rs, ending', 'b, ending'])
      cluster.remove('Pod', 'b')
      await cluster.settle()
      assert.deepEqual(there(cluster), [])
    }))

  it('foreground: objects that own each other do not wait for each other', () =>
    running(async (cluster) => {
      const map = (name: string, owner: string): AnyResource => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          ...metadata(name),
          uid: `uid-${name}`,
          ownerReferences: [
            { apiVersion: 'v1', kind: 'ConfigMap', name: owner, uid: `uid-${owner}`, blockOwnerDeletion: true },
          ],
        },
      })
      for (const [name, owner] of [
        ['a', 'c'],
        ['b', 'a'],
        ['c', 'b'],
        ['own', 'own'],
      ] as const)
        cluster.put(map(name, owner))
      await cluster.settle()
      for (const name of ['a', 'own'])
        await cluster.api.delete('ConfigMap', 'default', name, { propagation: 'FOREGROUND' }, context)
      await cluster.settle()
      assert.deepEqual(cluster.list('ConfigMap'), [])
    }))

  it('foreground: does not wait for what does not block', () =>
    running(async (cluster) => {
      const rs = cluster.put(replicaSet('rs', 1))
      cluster.put(
        pod('a', {
          metadata: { ownerReferences: [{ ...controllerReference(rs), blockOwnerDeletion: false }] },
          spec: { nodeName: 'n1' },
        }),
      )
      await cluster.settle()
      await cluster.api.delete('ReplicaSet', 'default', 'rs', { propagation: 'FOREGROUND' }, context)
      await cluster.settle()
      assert.deepEqual(there(cluster), ['a, ending'])
    }))

  it('orphan: what is owned stays, without the owner', () =>
    running(async (cluster) => {
      family(cluster)
      await cluster.settle()
      await cluster.api.delete('ReplicaSet', 'default', 'rs', { propagation: 'ORPHAN' }, context)
      await cluster.settle()
      assert.deepEqual(there(cluster), ['web', 'a', 'b'])
      assert.deepEqual(cluster.get('Pod', 'a')!.metadata.ownerReferences, [])
    }))

  it('keeps an object that has another owner, without the one that is gone', () =>
    running(async (cluster) => {
      const rs = cluster.put(replicaSet('rs', 1))
      const other = cluster.put(replicaSet('other', 1))
      cluster.put(
        pod('a', {
          metadata: {
            ownerReferences: [controllerReference(rs), { ...controllerReference(other), controller: false }],
          },
        }),
      )
      await cluster.settle()
      await cluster.api.delete('ReplicaSet', 'default', 'rs', {}, context)
      await cluster.settle()
      assert.deepEqual(
        cluster.get('Pod', 'a')!.metadata.ownerReferences?.map(({ uid }) => uid),
        [other.metadata.uid],
      )
    }))

  it('deletes what names an owner that never was, and what names an older object of the name', () =>
    running(async (cluster) => {
      cluster.put(replicaSet('rs', 1))
      cluster.put(pod('never', { metadata: { ownerReferences: [reference('none')] } }))
      cluster.put(pod('older', { metadata: { ownerReferences: [reference('old-uid', { name: 'rs' })] } }))
      await cluster.settle()
      assert.deepEqual(there(cluster), ['rs'])
    }))

  it('deletes nothing on the word of a cache that lags', () =>
    running(async (cluster) => {
      cluster.holdCache()
      const rs = replicaSet('rs', 1)
      const owner = cluster.put(rs)
      const dependent = pod('a', { metadata: { ownerReferences: [controllerReference(owner)] } })
      await cluster.releaseCache()
      cluster.holdCache()
      cluster.remove('ReplicaSet', 'rs')
      const again = cluster.put(rs)
      assert.equal(again.metadata.uid, owner.metadata.uid)
      cluster.put(dependent)
      await cluster.releaseCache()
      assert.deepEqual(there(cluster), ['rs', 'a'])
    }))

  it('keeps what names an owner of a kind that it does not know', () =>
    running(async (cluster) => {
      cluster.put(
        pod('a', { metadata: { ownerReferences: [reference('x', { apiVersion: 'example.org/v1', kind: 'Widget' })] } }),
      )
      await cluster.settle()
      assert.deepEqual(there(cluster), ['a'])
    }))

  it('works on every kind', () =>
    running(async (cluster) => {
      const owner = cluster.put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('owner') })
      cluster.put({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: metadata('owned', { ownerReferences: [controllerReference(owner)] }),
        type: 'Opaque',
      } as AnyResource)
      await cluster.settle()
      cluster.remove('ConfigMap', 'owner')
      await cluster.settle()
      assert.deepEqual(cluster.list('Secret'), [])
    }))
})
