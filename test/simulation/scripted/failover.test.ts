/** Nodes that vanish while controllers fall, and whatever else happens to both. */
import assert from 'node:assert/strict'
import { heldOf } from '../../../controller/nodehealth/disruption-state.ts'
import { controllerOf } from '../../../controller/nodehealth/node-session.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import type { SimulatedController } from '../control-plane.ts'
import { pick } from '../world/world.ts'
import { ScriptedCluster } from './scripted-cluster.ts'
import type { ScriptedNode } from './scripted-node.ts'

const REPLICAS = 6

describe('scripted simulation of nodes and three controllers', () => {
  let cluster: ScriptedCluster

  async function start(nodes: number, seed?: number): Promise<void> {
    cluster = await ScriptedCluster.start({ controllers: 3, nodes }, seed)
    await deploy()
  }

  /** Six nodes, some at each controller. */
  async function startSpread(): Promise<void> {
    for (let seed = 1; ; seed++) {
      cluster = await ScriptedCluster.start({ controllers: 3, nodes: 6 }, seed)
      if (cluster.controllers.every((controller) => heldBy(controller).length > 0)) break
    }
    await deploy()
  }

  async function deploy(): Promise<void> {
    await cluster.deploy('web', REPLICAS)
    await cluster.until('all pods are ready', () => cluster.ready === REPLICAS, 4_000)
  }

  /** Nodes whose sessions this controller holds. */
  const heldBy = ({ name }: SimulatedController): ScriptedNode[] =>
    cluster.nodes.filter((node) => controllerOf(cluster.nodeObject(node.name)!) === name)
  const replaced = (victim: ScriptedNode): boolean =>
    cluster.ready === REPLICAS && cluster.podsOn(victim.name).every(isDeleting)

  const follower = (): SimulatedController => cluster.controllers.find((controller) => controller !== cluster.leader)!

  it('nodes whose controller falls go to another, and nothing is seen of it', async () => {
    await startSpread()
    await cluster.run(2_000)
    const before = cluster.told.length
    const fallen = follower()
    fallen.kill()
    await cluster.run(15_000)
    assert.deepEqual([cluster.health.every((is) => is === 'ready'), cluster.ready], [true, REPLICAS])
    assert.deepEqual(heldBy(fallen), [])
    assert.deepEqual(cluster.told.slice(before), [])
  })

  it('a node that falls with its controller is counted by the leader, and replaced within 10 s', async () => {
    await startSpread()
    const fallen = follower()
    const [victim] = heldBy(fallen) as [ScriptedNode]
    victim.powerOff()
    fallen.kill()
    await cluster.until('its work is elsewhere', () => replaced(victim), 10_000)
    assert.deepEqual(cluster.toldOf('NodeLost'), [`Node ${victim.name}`])
  })

  it('the leader falls with a node it held: the next one gives all nodes time, and then replaces it', async () => {
    await startSpread()
    const { leader } = cluster
    const [victim] = heldBy(leader) as [ScriptedNode]
    victim.powerOff()
    leader.kill()
    await cluster.until('its work is elsewhere', () => replaced(victim), 10_000)
    assert.deepEqual(cluster.toldOf('NodeLost'), [`Node ${victim.name}`])
    assert.notEqual(cluster.leader.name, leader.name)
  })

  it('the leader changes between the loss and its consequences: nothing is forgotten, nothing done twice', async () => {
    await startSpread()
    const { leader } = cluster
    const [victim] = heldBy(follower()) as [ScriptedNode]
    victim.cutOff()
    await cluster.until('it is suspect', () => cluster.health.includes('suspect'), 4_000)
    leader.kill()
    await cluster.until('its work is elsewhere', () => replaced(victim), 15_000)
    await cluster.run(2_000)
    assert.equal(cluster.pods.filter((pod) => !isDeleting(pod)).length, REPLICAS)
    assert.deepEqual(cluster.toldOf('NodeLost'), [`Node ${victim.name}`])
  })

  it('the brake holds through a change of the leader', async () => {
    await startSpread()
    const { leader } = cluster
    const gone = cluster.nodes.slice(0, 4)
    for (const node of gone) node.cutOff()
    await cluster.run(10_000)
    assert.equal(cluster.health.filter((is) => is === 'lost').length, 4)
    leader.kill()
    await cluster.run(20_000)
    assert.notEqual(cluster.leader.name, leader.name)
    assert.deepEqual(cluster.pods.filter(isDeleting), [])
    for (const node of gone) node.reconnect()
    await cluster.until('all is as before', () => cluster.ready === REPLICAS, 3_000)
    assert.ok(cluster.nodes.every(({ ended }) => ended.length === 0))
  })

  it('all controllers fall and come again: nodes have the time to come back', async () => {
    await start(3)
    await cluster.run(2_000)
    const before = cluster.told.length
    for (const controller of cluster.controllers) controller.kill()
    await cluster.run(20_000)
    for (const controller of cluster.controllers) controller.start()
    await cluster.run(20_000)
    assert.deepEqual([cluster.health, cluster.ready], [['ready', 'ready', 'ready'], REPLICAS])
    assert.deepEqual(cluster.told.slice(before), [])
  })

  for (let seed = 1; seed <= 2; seed++)
    it(`in the end there are as many pods as asked for, each running once, and nothing is marked (seed ${seed})`, async () => {
      await start(5, seed)
      const random = seededRandom(seed)
      for (let round = 0; round < 15; round++) {
        const node = pick(random, cluster.nodes)
        const controller = pick(random, cluster.controllers)
        pick(random, [
          () => node.cutOff(),
          () => node.reconnect(),
          () => node.pause(random.next() * 6_000),
          () => {
            node.kill()
            node.reconnect()
            node.start()
          },
          () => {
            controller.kill()
            controller.start()
          },
        ])()
        await cluster.run(Math.floor(random.next() * 7_000))
        const { length } = cluster.pods.filter((pod) => !isDeleting(pod))
        assert.ok(length <= REPLICAS, `${length} pods wanted`)
      }
      for (const node of cluster.nodes) node.reconnect()
      const quiet = (): boolean =>
        cluster.ready === REPLICAS &&
        cluster.pods.length === REPLICAS &&
        cluster.pods.every(({ status }) => status.reason === undefined) &&
        cluster.health.every((is) => is === 'ready') &&
        cluster.list('Node').every((node) => node.spec.taints === undefined && heldOf(node) === undefined)
      await cluster.until('all is well', quiet, 25_000)
      await cluster.run(1_000)
      assert.ok(quiet())
      assert.deepEqual(
        cluster.nodes.flatMap(({ running }) => running).sort(),
        cluster.pods.map(({ metadata }) => metadata.name).sort(),
      )
    })
})
