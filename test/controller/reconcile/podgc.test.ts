import assert from 'node:assert/strict'
import { TaintEvictor } from '../../../controller/reconcile/eviction/reconciler.ts'
import { NODE_QUARANTINE_MS } from '../../../controller/reconcile/podgc/plan.ts'
import { PodCollector } from '../../../controller/reconcile/podgc/reconciler.ts'
import { node, pod } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

describe('pod collector', () => {
  let plane: SteppedControlPlane
  const names = (): string[] => plane.list('Pod').map(({ metadata: { name } }) => name)

  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    plane.run(new PodCollector(plane.parts))
    for (const name of ['n1', 'n2']) await plane.put(node(name))
    for (const [name, nodeName] of [
      ['a', 'n1'],
      ['b', 'n1'],
      ['c', 'n2'],
      ['free', undefined],
    ] as const)
      await plane.put(pod(name, { spec: { nodeName } }))
    await plane.settle()
  })
  afterEach(() => plane.stop())

  it('deletes the pods of a node that is gone, after a while and without grace', async () => {
    await plane.settle()
    await plane.remove('Node', 'n1')
    await plane.pass(NODE_QUARANTINE_MS - 1)
    assert.deepEqual(names(), ['a', 'b', 'c', 'free'])
    await plane.pass(1)
    assert.deepEqual(names(), ['c', 'free'])
    assert.deepEqual(plane.events, [
      'Warning NodeGone Node n1 no longer exists',
      'Warning NodeGone Node n1 no longer exists',
    ])
  })

  it('leaves them when the node comes back in time, and counts anew when it goes again', async () => {
    await plane.settle()
    await plane.remove('Node', 'n1')
    await plane.pass(NODE_QUARANTINE_MS / 2)
    await plane.put(node('n1'))
    await plane.settle()
    await plane.remove('Node', 'n1')
    await plane.pass(NODE_QUARANTINE_MS / 2)
    assert.equal(names().length, 4)
  })

  it('is to webhooks and policies who it is in Kubernetes', async () => {
    plane.run(new TaintEvictor(plane.parts))
    await plane.change('Node', 'n1', ({ spec }) => void (spec.taints = [{ key: 'a', effect: 'NoExecute' }]))
    await plane.put(pod('lost', { spec: { nodeName: 'ghost' } }))
    await plane.pass(NODE_QUARANTINE_MS)
    const deletions = plane.requests.filter(({ verb }) => verb === 'delete')
    assert.deepEqual(
      deletions.map(({ name, controllerAccount }) => `${name} ${controllerAccount}`),
      ['a node-controller', 'b node-controller', 'lost pod-garbage-collector'],
    )
  })

  it('finds pods that were bound to a node that never was', async () => {
    await plane.put(pod('lost', { spec: { nodeName: 'ghost' } }))
    await plane.pass(NODE_QUARANTINE_MS)
    assert.deepEqual(names(), ['a', 'b', 'c', 'free'])
  })
})
