import assert from 'node:assert/strict'
import { controllerReference } from '../../../proto/objects/owners.ts'
import { planOwned, type OwnerState } from '../../../controller/reconcile/garbage/plan.ts'
import { GarbageReconciler } from '../../../controller/reconcile/garbage/reconciler.ts'
import type { AnyResource, ConfigMap, Kind, OwnerReference } from '../../../proto/gen/types.ts'
import { deployment, metadata, pod, replicaSet } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

const reference = (uid: string, more: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: uid,
  uid,
  ...more,
})
const USER = { fieldManager: 'user' }

let plane: SteppedControlPlane

const configMap = (name: string): ConfigMap => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata(name) })

/** A Deployment that owns a ReplicaSet that owns two bound pods. */
async function family(): Promise<void> {
  const web = await plane.put(deployment('web', 2))
  const rs = replicaSet('rs', 2)
  rs.metadata.ownerReferences = [controllerReference(web)]
  const owner = await plane.put(rs)
  for (const name of ['a', 'b'])
    await plane.put(
      pod(name, { metadata: { ownerReferences: [controllerReference(owner)] }, spec: { nodeName: 'n1' } }),
    )
}

const there = (): string[] =>
  (['Deployment', 'ReplicaSet', 'Pod'] as Kind[])
    .flatMap((kind) => plane.list(kind) as AnyResource[])
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
  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    plane.run(new GarbageReconciler(plane.parts))
  })
  afterEach(() => plane.stop())

  it('background: what is owned goes after its owner, level by level', async () => {
    await family()
    await plane.settle()
    assert.deepEqual(there(), ['web', 'rs', 'a', 'b'])
    await plane.users.delete('Deployment', 'default', 'web', { propagation: 'BACKGROUND' }, USER)
    await plane.settle()
    assert.deepEqual(there(), ['a, ending', 'b, ending'])
  })

  it('foreground: owners wait for what they own', async () => {
    await family()
    await plane.settle()
    await plane.users.delete('Deployment', 'default', 'web', { propagation: 'FOREGROUND' }, USER)
    await plane.settle()
    assert.deepEqual(there(), ['web, ending', 'rs, ending', 'a, ending', 'b, ending'])
    await plane.release('a')
    await plane.settle()
    assert.deepEqual(there(), ['web, ending', 'rs, ending', 'b, ending'])
    await plane.release('b')
    await plane.settle()
    assert.deepEqual(there(), [])
  })

  it('foreground: objects that own each other do not wait for each other', async () => {
    const uids = new Map<string, string>()
    for (const name of ['a', 'b', 'c', 'own']) uids.set(name, (await plane.put(configMap(name))).metadata.uid)
    for (const [name, owner] of [
      ['a', 'c'],
      ['b', 'a'],
      ['c', 'b'],
      ['own', 'own'],
    ] as const) {
      const to = { apiVersion: 'v1', kind: 'ConfigMap', name: owner, uid: uids.get(owner)!, blockOwnerDeletion: true }
      await plane.change('ConfigMap', name, ({ metadata }) => void (metadata.ownerReferences = [to]))
    }
    await plane.settle()
    for (const name of ['a', 'own'])
      await plane.users.delete('ConfigMap', 'default', name, { propagation: 'FOREGROUND' }, USER)
    await plane.settle()
    assert.deepEqual(plane.list('ConfigMap'), [])
  })

  it('foreground: does not wait for what does not block', async () => {
    const rs = await plane.put(replicaSet('rs', 1))
    await plane.put(
      pod('a', {
        metadata: { ownerReferences: [{ ...controllerReference(rs), blockOwnerDeletion: false }] },
        spec: { nodeName: 'n1' },
      }),
    )
    await plane.settle()
    await plane.users.delete('ReplicaSet', 'default', 'rs', { propagation: 'FOREGROUND' }, USER)
    await plane.settle()
    assert.deepEqual(there(), ['a, ending'])
  })

  it('foreground: waits for what was made since, though the cache does not show it yet', async () => {
    const rs = await plane.put(replicaSet('rs', 1))
    await plane.settle()
    plane.holdCache()
    await plane.users.delete('ReplicaSet', 'default', 'rs', { propagation: 'FOREGROUND' }, USER)
    await plane.put(pod('late', { metadata: { ownerReferences: [controllerReference(rs)] }, spec: { nodeName: 'n1' } }))
    await plane.releaseCache()
    assert.deepEqual(there(), ['rs, ending', 'late, ending'])
  })

  it('orphan: what is owned stays, without the owner', async () => {
    await family()
    await plane.settle()
    await plane.users.delete('ReplicaSet', 'default', 'rs', { propagation: 'ORPHAN' }, USER)
    await plane.settle()
    assert.deepEqual(there(), ['web', 'a', 'b'])
    assert.equal(plane.get('Pod', 'a')!.metadata.ownerReferences, undefined)
  })

  it('keeps an object that has another owner, without the one that is gone', async () => {
    const rs = await plane.put(replicaSet('rs', 1))
    const other = await plane.put(replicaSet('other', 1))
    await plane.put(
      pod('a', {
        metadata: { ownerReferences: [controllerReference(rs), { ...controllerReference(other), controller: false }] },
      }),
    )
    await plane.settle()
    await plane.users.delete('ReplicaSet', 'default', 'rs', {}, USER)
    await plane.settle()
    assert.deepEqual(
      plane.get('Pod', 'a')!.metadata.ownerReferences?.map(({ uid }) => uid),
      [other.metadata.uid],
    )
  })

  it('deletes what names an owner that never was, and what names an older object of the name', async () => {
    await plane.put(replicaSet('rs', 1))
    await plane.put(pod('never', { metadata: { ownerReferences: [reference('none')] } }))
    await plane.put(pod('older', { metadata: { ownerReferences: [reference('old-uid', { name: 'rs' })] } }))
    await plane.settle()
    assert.deepEqual(there(), ['rs'])
  })

  it('deletes nothing on the word of a cache that lags', async () => {
    const owner = await plane.put(replicaSet('rs', 1))
    await plane.put(pod('a', { metadata: { ownerReferences: [controllerReference(owner)] } }))
    await plane.settle()
    plane.holdCache()
    await plane.remove('ReplicaSet', 'rs')
    await plane.restore(owner)
    assert.ok(await plane.showNext())
    assert.equal(plane.informer.lister('ReplicaSet').get('default', 'rs'), undefined)
    assert.ok(
      plane.requests.some(({ verb, name }) => verb === 'get' && name === 'rs'),
      'it is asked for once more',
    )
    await plane.releaseCache()
    assert.deepEqual(there(), ['rs', 'a'])
  })

  it('keeps what names an owner of a kind that it does not know', async () => {
    await plane.put(
      pod('a', { metadata: { ownerReferences: [reference('x', { apiVersion: 'example.org/v1', kind: 'Widget' })] } }),
    )
    await plane.settle()
    assert.deepEqual(there(), ['a'])
  })

  it('works on every kind', async () => {
    const owner = await plane.put(configMap('owner'))
    await plane.put({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: metadata('owned', { ownerReferences: [controllerReference(owner)] }),
      type: 'Opaque',
    } as AnyResource)
    await plane.settle()
    await plane.remove('ConfigMap', 'owner')
    await plane.settle()
    assert.deepEqual(plane.list('Secret'), [])
  })
})
