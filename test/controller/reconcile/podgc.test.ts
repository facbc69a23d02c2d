import assert from 'node:assert/strict'
import type { ObjectApi } from '../../../controller/api/contract.ts'
import { TaintEvictor } from '../../../controller/reconcile/eviction/reconciler.ts'
import { NODE_QUARANTINE_MS } from '../../../controller/reconcile/podgc/plan.ts'
import { PodCollector } from '../../../controller/reconcile/podgc/reconciler.ts'
import type { Node } from '../../../proto/gen/types.ts'
import { FakeCluster, metadata, pod } from './fake.ts'

const node = (name: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: metadata(name, { namespace: '' }),
  spec: {},
  status: {},
})
const names = (cluster: FakeCluster): string[] => cluster.list('Pod').map(({ metadata: { name } }) => name)

async function running(work: (cluster: FakeCluster) => Promise<void>): Promise<void> {
  const cluster = new FakeCluster()
  await cluster.running([new PodCollector(cluster.parts)], async () => {
    cluster.put(node('n1'))
    cluster.put(node('n2'))
    for (const [name, nodeName] of [
      ['a', 'n1'],
      ['b', 'n1'],
      ['c', 'n2'],
      ['free', undefined],
    ] as const)
      cluster.put(pod(name, { spec: { nodeName } }))
    await work(cluster)
  })
}

describe('pod collector', () => {
  it('deletes the pods of a node that is gone, after a while and without grace', () =>
    running(async (cluster) => {
      await cluster.settle()
      cluster.remove('Node', 'n1', '')
      await cluster.settle()
      await cluster.clock.advance(NODE_QUARANTINE_MS - 1)
      await cluster.settle()
      assert.deepEqual(names(cluster), ['a', 'b', 'c', 'free'])
      await cluster.clock.advance(1)
      await cluster.settle()
      assert.deepEqual(names(cluster), ['c', 'free'])
      assert.deepEqual(cluster.events, [
        'Warning NodeGone Node n1 no longer exists',
        'Warning NodeGone Node n1 no longer exists',
      ])
    }))

  it('leaves them when the node comes back in time, and counts anew when it goes again', () =>
    running(async (cluster) => {
      await cluster.settle()
      cluster.remove('Node', 'n1', '')
      await cluster.settle()
      await cluster.clock.advance(NODE_QUARANTINE_MS / 2)
      cluster.put(node('n1'))
      await cluster.settle()
      cluster.remove('Node', 'n1', '')
      await cluster.settle()
      await cluster.clock.advance(NODE_QUARANTINE_MS / 2)
      await cluster.settle()
      assert.equal(names(cluster).length, 4)
    }))

  it('is to webhooks and policies who it is in Kubernetes', async () => {
    const cluster = new FakeCluster()
    const accounts = new Set<string | undefined>()
    const api: ObjectApi = {
      ...cluster.api,
      delete: (kind, namespace, name, options, context) => {
        accounts.add(context.controllerAccount)
        return cluster.api.delete(kind, namespace, name, options, context)
      },
    }
    await cluster.running(
      [new PodCollector({ ...cluster.parts, api }), new TaintEvictor({ ...cluster.parts, api })],
      async () => {
        cluster.put({ ...node('n1'), spec: { taints: [{ key: 'a', effect: 'NoExecute' }] } })
        cluster.put(pod('evicted', { spec: { nodeName: 'n1' } }))
        cluster.put(pod('lost', { spec: { nodeName: 'ghost' } }))
        await cluster.settle()
        await cluster.clock.advance(NODE_QUARANTINE_MS)
        await cluster.settle()
      },
    )
    assert.deepEqual([...accounts], ['node-controller', 'pod-garbage-collector'])
  })

  it('finds pods that were bound to a node that never was', () =>
    running(async (cluster) => {
      cluster.put(pod('lost', { spec: { nodeName: 'ghost' } }))
      await cluster.settle()
      await cluster.clock.advance(NODE_QUARANTINE_MS)
      await cluster.settle()
      assert.deepEqual(names(cluster), ['a', 'b', 'c', 'free'])
    }))
})
