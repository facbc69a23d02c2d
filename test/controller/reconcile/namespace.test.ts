import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { NamespaceReconciler } from '../../../controller/reconcile/namespace/reconciler.ts'
import type { AnyResource, Namespace } from '../../../proto/gen/types.ts'
import { deployment, FakeCluster, metadata, pod } from './fake.ts'

const context = { fieldManager: 'test' }
const namespace = (name: string): Namespace => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: metadata(name, { namespace: '' }),
  spec: { finalizers: ['kubernetes'] },
  status: { phase: 'Active' },
})

async function running(work: (cluster: FakeCluster) => Promise<void>): Promise<void> {
  const cluster = new FakeCluster()
  await cluster.running([new NamespaceReconciler(cluster.parts)], async () => {
    cluster.put(namespace('default'))
    cluster.put(namespace('other'))
    await work(cluster)
  })
}

const conditions = (cluster: FakeCluster): string[] =>
  (cluster.get('Namespace', 'default', '')?.status.conditions ?? []).map(
    ({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`,
  )
const message = (cluster: FakeCluster, type: string): string | undefined =>
  findCondition(cluster.get('Namespace', 'default', '')?.status.conditions, type)?.message

describe('namespace reconciler', () => {
  it('empties a namespace that is deleted, says what it waits for, and lets it go', () =>
    running(async (cluster) => {
      cluster.put(deployment('web', 1))
      cluster.put(pod('bound', { spec: { nodeName: 'n1' } }))
      cluster.put({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: metadata('held', { finalizers: ['example.org/keep'] }),
      })
      cluster.put(pod('elsewhere', { metadata: { namespace: 'other' } }))
      await cluster.settle()
      assert.deepEqual(cluster.calls, [])
      await cluster.api.delete('Namespace', '', 'default', {}, context)
      await cluster.settle()
      assert.equal(cluster.list('Deployment').length, 1, 'pods go first')
      assert.equal(cluster.get('ConfigMap', 'held')!.metadata.deletionTimestamp, undefined)
      assert.equal(cluster.get('Namespace', 'default', '')!.status.phase, 'Terminating')
      assert.deepEqual(conditions(cluster), [
        'NamespaceDeletionDiscoveryFailure False ResourcesDiscovered: All resources successfully discovered',
        'NamespaceDeletionGroupVersionParsingFailure False ParsedGroupVersions: All legacy kube types successfully parsed',
        'NamespaceDeletionContentFailure False ContentDeleted: All content successfully deleted, may be waiting on finalization',
        'NamespaceContentRemaining True SomeResourcesRemain: Some resources are remaining: configmaps. has 1 resource instances, deployments.apps has 1 resource instances, pods. has 1 resource instances',
        'NamespaceFinalizersRemaining True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.org/keep in 1 resource instances',
      ])
      cluster.remove('Pod', 'bound')
      await cluster.settle()
      assert.deepEqual(cluster.list('Deployment'), [], 'the rest goes when no pod is left')
      assert.equal(
        message(cluster, 'NamespaceContentRemaining'),
        'Some resources are remaining: configmaps. has 1 resource instances',
      )
      cluster.remove('ConfigMap', 'held')
      await cluster.settle()
      assert.equal(cluster.get('Namespace', 'default', ''), undefined)
      assert.deepEqual([cluster.list('Namespace').length, cluster.list('Pod').length], [1, 1])
    }))

  it('does not let go while the cache has not shown all that is in it', () =>
    running(async (cluster) => {
      await cluster.settle()
      cluster.holdCache()
      await cluster.api.delete('Namespace', '', 'default', {}, context)
      cluster.put(pod('late', { metadata: { finalizers: ['example.org/keep'] } }))
      await cluster.releaseCache()
      assert.notEqual(cluster.get('Namespace', 'default', ''), undefined)
      assert.equal(cluster.get('Pod', 'late')!.metadata.deletionTimestamp === undefined, false)
    }))

  it('leaves pods what they use until they have ended', () =>
    running(async (cluster) => {
      cluster.put(pod('bound', { spec: { nodeName: 'n1' } }))
      cluster.put({ apiVersion: 'v1', kind: 'Secret', metadata: metadata('used'), type: 'Opaque' })
      await cluster.api.delete('Namespace', '', 'default', {}, context)
      await cluster.settle()
      assert.notEqual(cluster.get('Pod', 'bound')!.metadata.deletionTimestamp, undefined)
      assert.notEqual(cluster.get('Secret', 'used'), undefined)
      cluster.remove('Pod', 'bound')
      await cluster.settle()
      assert.deepEqual([cluster.get('Secret', 'used'), cluster.get('Namespace', 'default', '')], [undefined, undefined])
    }))

  it('says why something cannot be deleted, and tries again', () =>
    running(async (cluster) => {
      cluster.put(pod('p'))
      cluster.refuse = (verb, { kind }) =>
        verb === 'delete' && kind === 'Pod' ? new GantryError('Forbidden', 'protected') : undefined
      await cluster.api.delete('Namespace', '', 'default', {}, context)
      await cluster.settle()
      assert.equal(
        message(cluster, 'NamespaceDeletionContentFailure'),
        'Failed to delete all resource types, 1 remaining: protected',
      )
      cluster.refuse = () => undefined
      await cluster.clock.advance(60_000)
      await cluster.settle()
      assert.equal(cluster.get('Namespace', 'default', ''), undefined)
    }))

  it('ends its events before it goes and once more when it is gone, and does not wait for those who keep them', async () => {
    const cluster = new FakeCluster()
    const ended: string[] = []
    let failures = 1
    const endEvents = (name: string): Promise<void> => {
      ended.push(`${name} ${cluster.get('Namespace', name, '') === undefined ? 'gone' : 'there'}`)
      return failures-- > 0 ? Promise.reject(new GantryError('Unavailable', 'no news')) : Promise.resolve()
    }
    await cluster.running([new NamespaceReconciler({ ...cluster.parts, endEvents })], async () => {
      cluster.put(namespace('default'))
      await cluster.api.delete('Namespace', '', 'default', {}, context)
      await cluster.settle()
      assert.equal(cluster.get('Namespace', 'default', ''), undefined)
      assert.deepEqual(ended, ['default there', 'default gone'])
    })
  })

  it('goes at once when it is empty', () =>
    running(async (cluster) => {
      await cluster.api.delete('Namespace', '', 'default', {}, context)
      await cluster.settle()
      assert.equal(cluster.get('Namespace', 'default', ''), undefined)
      const left = cluster.list('Namespace') as AnyResource[]
      assert.deepEqual(
        left.map(({ metadata: { name } }) => name),
        ['other'],
      )
    }))
})
