/** Nodes that vanish and come back. */
import assert from 'node:assert/strict'
import { sessionOf } from '../../../controller/nodehealth/node-session.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { unreachable } from '../../controller/nodehealth/nodes.ts'
import { ScriptedCluster } from './scripted-cluster.ts'
import type { ScriptedNode } from './scripted-node.ts'

describe('scripted simulation of node health', () => {
  let cluster: ScriptedCluster

  async function start(nodes: number, replicas = 0): Promise<void> {
    cluster = await ScriptedCluster.start({ controllers: 1, nodes })
    if (replicas === 0) return
    await cluster.deploy('web', replicas)
    await cluster.until('all pods are ready', () => cluster.ready === replicas, 4_000)
  }

  it('a node that is cut off is replaced within 10 s, and its pods are unknown until it is back', async () => {
    await start(3, 6)
    const [n1, n2, n3] = ['n1', 'n2', 'n3'].map((name) => cluster.node(name)) as [
      ScriptedNode,
      ScriptedNode,
      ScriptedNode,
    ]
    const before = n2.running
    assert.equal(before.length, 2)
    n2.cutOff()
    await cluster.until('n2 is suspect', () => cluster.health[1] === 'suspect', 3_500)
    await cluster.run(100)
    assert.equal(cluster.ready, 4)
    assert.deepEqual(unreachable(cluster.nodeObject('n2')!), ['NoSchedule'])
    assert.ok(cluster.podsOn('n2').every((pod) => !isDeleting(pod)))
    const took = await cluster.until('all are ready elsewhere', () => cluster.ready === 6, 4_000)
    assert.ok(took <= 3_500, `${took} ms after it was suspect`)
    await cluster.run(200)
    assert.equal(findCondition(cluster.deployment('web').status.conditions, 'Available')!.status, 'True')
    for (const pod of cluster.podsOn('n2')) {
      assert.ok(isDeleting(pod))
      assert.deepEqual([pod.status.phase, pod.status.reason], ['Running', 'NodeLost'])
      assert.match(pod.status.message!, /^unknown since 2026-01-01T12:00:\d\dZ/)
    }
    assert.deepEqual(n2.running, before)
    const replacements = [...n1.running, ...n3.running]
    n2.reconnect()
    const ended = (): boolean => n2.running.length === 0 && cluster.podsOn('n2').length === 0
    await cluster.until('the old copies end', ended, 4_000)
    assert.deepEqual(cluster.health, ['ready', 'ready', 'ready'])
    assert.equal(cluster.nodeObject('n2')!.spec.taints, undefined)
    assert.deepEqual([...n1.running, ...n3.running], replacements)
  })

  it('a node that was suspect and speaks again in its session has lost nothing', async () => {
    await start(3, 6)
    const session = (): string | undefined => sessionOf(cluster.nodeObject('n2')!)
    const readiness = (): unknown =>
      cluster.pods.map(({ metadata, status }) => [metadata.name, findCondition(status.conditions, 'Ready')])
    const before = { pods: readiness(), session: session() }
    cluster.node('n2').pause(4_000)
    await cluster.until('n2 is suspect', () => cluster.health[1] === 'suspect', 3_500)
    await cluster.run(100)
    assert.equal(cluster.ready, 4)
    const isBack = (): boolean => cluster.ready === 6 && cluster.nodeObject('n2')!.spec.taints === undefined
    await cluster.until('all is as before', isBack, 1_500)
    await cluster.run(10_000)
    assert.deepEqual({ pods: readiness(), session: session() }, before)
    assert.deepEqual(cluster.node('n2').ended, [])
  })

  it('an agent that starts again within 3 s changes nothing that is seen', async () => {
    await start(3, 6)
    await cluster.run(2_000)
    const before = cluster.told.length
    cluster.node('n1').kill()
    await cluster.run(1_500)
    cluster.node('n1').start()
    await cluster.run(8_000)
    assert.deepEqual(cluster.told.slice(before), [])
    assert.deepEqual([cluster.node('n1').started.length, cluster.node('n1').ended.length], [2, 0])
  })

  it('a node that goes and comes every few seconds keeps its pods', async () => {
    await start(3, 6)
    const n3 = cluster.node('n3')
    let suspected = 0
    for (let round = 0; round < 8; round++) {
      // Its session goes on in one round, and begins anew in the next.
      if (round % 2 === 0) n3.pause(4_000)
      else n3.kill()
      await cluster.run(3_900)
      if (cluster.health[2] === 'suspect') suspected++
      n3.start()
      await cluster.run(1_600)
    }
    await cluster.run(1_000)
    assert.equal(suspected, 8)
    assert.deepEqual(cluster.toldOf('NodeLost'), [])
    assert.deepEqual([cluster.ready, n3.ended.length, n3.started.length], [6, 0, 2])
  })

  it('a lost node without a controller on any pod gives up a bare pod, too, and says so', async () => {
    await start(3)
    const n1 = cluster.node('n1')
    await cluster.runPod('alone', 'n1')
    await cluster.runPod('patient', 'n1', {
      tolerations: [
        { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 },
      ],
    })
    await cluster.until('they run', () => n1.running.length === 2, 2_000)
    n1.cutOff()
    await cluster.run(7_000)
    const going = (): string[] =>
      cluster.pods
        .filter(isDeleting)
        .map(({ metadata }) => metadata.name)
        .sort()
    assert.deepEqual(going(), ['alone'])
    assert.ok(cluster.told.includes('Pod alone TaintManagerEviction'))
    await cluster.run(60_000)
    assert.deepEqual(going(), ['alone', 'patient'])
  })

  it('nothing is placed on a node that is not heard from, and why says since when', async () => {
    await start(2)
    const n1 = cluster.node('n1')
    const why = (pod: string): string =>
      cluster.leader.running!.controller.scheduler.why('default', pod).verdicts.find(({ node }) => node === 'n1')!
        .reason
    n1.cutOff()
    await cluster.until('n1 is suspect', () => cluster.health[0] === 'suspect', 3_500)
    await cluster.runPod('a', 'n1', { tolerations: [{ operator: 'Exists' }] })
    await cluster.run(100)
    assert.match(why('a'), /^is suspect: no sign of life since 2026-01-01T12:00:0\dZ$/)
    await cluster.until('n1 is lost', () => cluster.health[0] === 'lost', 3_000)
    await cluster.runPod('b', 'n1', { tolerations: [{ operator: 'Exists' }] })
    await cluster.run(100)
    assert.match(why('b'), /^is lost: no sign of life since/)
    assert.deepEqual(cluster.podsOn('n1'), [])
    n1.reconnect()
    await cluster.until('both run', () => n1.running.length === 2, 4_000)
  })

  it('a rollout goes on though old pods on a lost node cannot be seen to end', async () => {
    await start(4, 4)
    const n4 = cluster.node('n4')
    n4.cutOff()
    await cluster.run(500)
    await cluster.change('Deployment', 'default', 'web', ({ spec }) => {
      spec.template.spec.containers[0]!.image = 'two'
    })
    const done = (): boolean => {
      const { status, metadata } = cluster.deployment('web')
      return (
        status.observedGeneration === metadata.generation &&
        status.updatedReplicas === 4 &&
        status.availableReplicas === 4 &&
        status.replicas === 4
      )
    }
    await cluster.until('it is complete', done, 20_000)
    assert.ok(cluster.podsOn('n4').length > 0 && cluster.podsOn('n4').every(isDeleting))
    n4.reconnect()
    const ended = (): boolean => cluster.podsOn('n4').length === 0 && n4.running.length === 0
    await cluster.until('the old ones end', ended, 4_000)
  })
})
