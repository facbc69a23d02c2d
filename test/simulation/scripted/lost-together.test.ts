/** Several nodes that vanish together: the brake. */
import assert from 'node:assert/strict'
import { heldOf } from '../../../controller/nodehealth/disruption-state.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { unreachable } from '../../controller/nodehealth/nodes.ts'
import { ScriptedCluster } from './scripted-cluster.ts'
import type { ScriptedNode } from './scripted-node.ts'

describe('scripted simulation of nodes that vanish together', () => {
  let cluster: ScriptedCluster

  async function start(nodes: number, replicas: number): Promise<void> {
    cluster = await ScriptedCluster.start({ controllers: 1, nodes })
    await cluster.deploy('web', replicas)
    await cluster.until('all pods are ready', () => cluster.ready === replicas, 4_000)
  }

  const named = (...names: string[]): ScriptedNode[] => names.map((name) => cluster.node(name))
  const reason = (name: string): string | undefined => heldOf(cluster.nodeObject(name)!)?.reason
  const nothingIsMarked = (): boolean =>
    cluster.list('Node').every((node) => node.spec.taints === undefined && heldOf(node) === undefined)

  it('nothing is evicted, it is said, and those that come back have lost nothing', async () => {
    await start(6, 6)
    const gone = named('n1', 'n2', 'n3')
    for (const node of gone) node.cutOff()
    await cluster.run(20_000)
    assert.deepEqual(cluster.health, ['lost', 'lost', 'lost', 'ready', 'ready', 'ready'])
    assert.deepEqual(cluster.pods.filter(isDeleting), [])
    assert.equal(cluster.ready, 3)
    assert.deepEqual(cluster.toldOf('EvictionHeld').sort(), ['Node n1', 'Node n2', 'Node n3'])
    assert.match(heldOf(cluster.nodeObject('n1')!)!.message!, /gantry annotate node n1 gantry\.dev\/lost=confirmed$/)
    for (const node of gone) node.reconnect()
    await cluster.until('all is as before', () => cluster.ready === 6, 3_000)
    await cluster.run(5_000)
    assert.deepEqual(
      gone.map(({ ended, started }) => [ended.length, started.length]),
      gone.map(() => [0, 1]),
    )
    assert.ok(nothingIsMarked())
  })

  it('those that stay away are emptied once enough are back', async () => {
    await start(6, 6)
    const [n1, n2, n3] = named('n1', 'n2', 'n3') as [ScriptedNode, ScriptedNode, ScriptedNode]
    for (const node of [n1, n2, n3]) node.powerOff()
    await cluster.run(20_000)
    assert.equal(cluster.ready, 3)
    n3.powerOn()
    await cluster.until('n3 is back', () => cluster.ready === 4, 3_000)
    await cluster.run(3_000)
    assert.equal(reason('n1'), 'NodesReturning')
    await cluster.until('all are ready', () => cluster.ready === 6, 4_000)
    assert.deepEqual(unreachable(cluster.nodeObject('n1')!), ['NoExecute', 'NoSchedule'])
  })

  it('those that come back one after the other have lost nothing, the last neither', async () => {
    await start(3, 6)
    for (const node of cluster.nodes) node.cutOff()
    await cluster.run(20_000)
    for (const node of cluster.nodes) {
      node.reconnect()
      await cluster.run(3_000)
    }
    await cluster.run(10_000)
    assert.deepEqual(
      [cluster.ready, cluster.pods.length, cluster.nodes.map(({ ended }) => ended.length)],
      [6, 6, [0, 0, 0]],
    )
    assert.ok(nothingIsMarked())
  })

  it('a person can say that a machine is gone for good', async () => {
    await start(3, 6)
    for (const node of named('n1', 'n2')) node.powerOff()
    await cluster.run(20_000)
    assert.equal(cluster.ready, 2)
    await cluster.change('Node', '', 'n1', ({ metadata }) => {
      metadata.annotations = { ...metadata.annotations, 'gantry.dev/lost': 'confirmed' }
    })
    await cluster.until('the work of both is elsewhere', () => cluster.ready === 6, 3_000)
    cluster.node('n1').powerOn()
    const isTakenBack = (): boolean => cluster.nodeObject('n1')!.metadata.annotations!['gantry.dev/lost'] === undefined
    await cluster.until('that is taken back', isTakenBack, 2_000)
  })

  it('or delete their nodes: then their pods are collected', async () => {
    await start(3, 6)
    for (const node of named('n1', 'n2')) node.powerOff()
    await cluster.run(20_000)
    for (const name of ['n1', 'n2']) await cluster.delete('Node', '', name)
    await cluster.until('all are ready on n3', () => cluster.ready === 6 && cluster.pods.length === 6, 45_000)
    assert.equal(cluster.node('n3').running.length, 6)
  })

  it('the only node keeps its pods', async () => {
    await start(1, 3)
    const n1 = cluster.node('n1')
    n1.cutOff()
    await cluster.run(60_000)
    assert.equal(cluster.pods.length, 3)
    n1.reconnect()
    await cluster.until('all is as before', () => cluster.ready === 3, 3_000)
    assert.deepEqual(n1.ended, [])
  })

  it('one of two is replaced', async () => {
    await start(2, 4)
    cluster.node('n1').powerOff()
    const replaced = (): boolean => cluster.node('n2').running.length === 4 && cluster.ready === 4
    await cluster.until('all run on n2', replaced, 7_500)
  })
})
