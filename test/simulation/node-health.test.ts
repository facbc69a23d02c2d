/** Nodes that vanish and come back, in a whole control plane under simulated time. */
import assert from 'node:assert/strict'
import { heldOf } from '../../controller/nodehealth/disruption-state.ts'
import { controllerOf } from '../../controller/nodehealth/node-session.ts'
import { seededRandom } from '../../proto/base/random.ts'
import type { Node, Pod } from '../../proto/gen/types.ts'
import { unreachable } from '../controller/nodehealth/nodes.ts'
import { PartialCluster } from './cluster.ts'

const isReady = ({ status, metadata }: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true

describe('simulation of node health', () => {
  let cluster: PartialCluster

  async function start(shape: { controllers: number; nodes: number }, replicas = 0): Promise<void> {
    cluster = await PartialCluster.start(shape)
    if (replicas === 0) return
    await cluster.deploy('web', replicas)
    await cluster.until('all pods are ready', () => ready() === replicas, 2_000)
  }

  afterEach(() => cluster.stop())

  const ready = (): number => cluster.pods.filter(isReady).length
  const on = (node: string): Pod[] => cluster.pods.filter(({ spec }) => spec.nodeName === node)
  const held = (): string[] => cluster.told.filter((event) => event.endsWith('EvictionHeld'))
  const lost = (): string[] => cluster.told.filter((event) => event.endsWith('NodeLost'))

  it('a node that is cut off is replaced within 10 s, and its pods are unknown until it is back', async () => {
    await start({ controllers: 1, nodes: 3 }, 6)
    const before = cluster.agent('n2').running
    assert.equal(before.length, 2)
    cluster.agent('n2').cutOff()
    await cluster.until('n2 is suspect', () => cluster.health[1] === 'suspect', 3_000)
    await cluster.run(100)
    assert.equal(ready(), 4)
    assert.deepEqual(unreachable(cluster.node('n2')!), ['NoSchedule'])
    assert.ok(on('n2').every(({ metadata }) => metadata.deletionTimestamp === undefined))
    const took = await cluster.until('all are ready elsewhere', () => ready() === 6, 3_000)
    assert.ok(took <= 2_500, `${took} ms after it was suspect`)
    await cluster.run(200)
    assert.deepEqual(
      cluster.deployment('web').status.conditions!.find(({ type }) => type === 'Available')!.status,
      'True',
    )
    for (const { status, metadata } of on('n2')) {
      assert.ok(metadata.deletionTimestamp !== undefined)
      assert.deepEqual([status.phase, status.reason], ['Running', 'NodeLost'])
      assert.match(status.message!, /^unknown since 2026-01-01T12:00:\d\dZ/)
    }
    assert.deepEqual(cluster.agent('n2').running, before)
    const replacements = [...cluster.agent('n1').running, ...cluster.agent('n3').running]
    cluster.agent('n2').reconnect()
    await cluster.until(
      'the old copies end',
      () => cluster.agent('n2').running.length === 0 && on('n2').length === 0,
      1_000,
    )
    assert.deepEqual(cluster.health, ['ready', 'ready', 'ready'])
    assert.deepEqual(cluster.node('n2')!.spec.taints, undefined)
    assert.deepEqual([...cluster.agent('n1').running, ...cluster.agent('n3').running], replacements)
  })

  it('a node that was suspect and speaks again in its session has lost nothing', async () => {
    await start({ controllers: 1, nodes: 3 }, 6)
    const before = cluster.pods
    cluster.agent('n2').cutOff()
    await cluster.until('n2 is suspect', () => cluster.health[1] === 'suspect', 4_000)
    await cluster.run(100)
    assert.equal(ready(), 4)
    cluster.agent('n2').goOn()
    await cluster.until('all is as before', () => ready() === 6 && cluster.node('n2')!.spec.taints === undefined, 1_000)
    await cluster.run(10_000)
    assert.deepEqual(
      cluster.pods.map(({ metadata, status: { conditions } }) => [
        metadata.name,
        conditions!.find(({ type }) => type === 'Ready'),
      ]),
      before.map(({ metadata, status: { conditions } }) => [
        metadata.name,
        conditions!.find(({ type }) => type === 'Ready'),
      ]),
    )
    assert.deepEqual(cluster.agent('n2').ended, [])
  })

  it('an agent that starts again within 3 s changes nothing that is seen', async () => {
    await start({ controllers: 1, nodes: 3 }, 6)
    const before = cluster.told.length
    cluster.agent('n1').stop()
    await cluster.run(1_500)
    cluster.agent('n1').start()
    await cluster.run(8_000)
    assert.deepEqual(cluster.told.slice(before), [])
    assert.deepEqual([cluster.agent('n1').started.length, cluster.agent('n1').ended.length], [2, 0])
  })

  it('a node that goes and comes every few seconds keeps its pods', async () => {
    await start({ controllers: 1, nodes: 3 }, 6)
    for (let round = 0; round < 8; round++) {
      cluster.agent('n3').cutOff()
      await cluster.run(4_000)
      cluster.agent('n3').reconnect()
      await cluster.run(300)
    }
    await cluster.run(1_000)
    assert.deepEqual(lost(), [])
    assert.deepEqual([ready(), cluster.agent('n3').ended.length, cluster.agent('n3').started.length], [6, 0, 2])
  })

  it('a lost node without a controller on any pod gives up a bare pod, too, and says so', async () => {
    await start({ controllers: 1, nodes: 3 })
    await cluster.any.api.create(
      {
        kind: 'Pod',
        metadata: { name: 'alone', namespace: 'default' },
        spec: { containers: [{ name: 'c', image: 'one' }], nodeSelector: { 'kubernetes.io/hostname': 'n1' } },
      },
      { fieldManager: 'test' },
    )
    await cluster.any.api.create(
      {
        kind: 'Pod',
        metadata: { name: 'patient', namespace: 'default' },
        spec: {
          containers: [{ name: 'c', image: 'one' }],
          nodeSelector: { 'kubernetes.io/hostname': 'n1' },
          tolerations: [
            { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 },
          ],
        },
      },
      { fieldManager: 'test' },
    )
    await cluster.until('they run', () => cluster.agent('n1').running.length === 2, 1_000)
    cluster.agent('n1').cutOff()
    await cluster.run(7_000)
    const going = (): string[] =>
      cluster.pods
        .filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
        .map(({ metadata }) => metadata.name)
    assert.deepEqual(going(), ['alone'])
    assert.ok(cluster.told.includes('Pod alone TaintManagerEviction'))
    await cluster.run(60_000)
    assert.deepEqual(going(), ['alone', 'patient'])
  })

  it('nothing is placed on a node that is not heard from, and why says since when', async () => {
    await start({ controllers: 1, nodes: 2 })
    cluster.agent('n1').cutOff()
    await cluster.run(3_500)
    const pod = (name: string, node: string): Promise<Pod> =>
      cluster.any.api.create(
        {
          kind: 'Pod',
          metadata: { name, namespace: 'default' },
          spec: {
            containers: [{ name: 'c', image: 'one' }],
            nodeSelector: { 'kubernetes.io/hostname': node },
            tolerations: [{ operator: 'Exists' }],
          },
        },
        { fieldManager: 'test' },
      )
    await pod('a', 'n1')
    await cluster.run(100)
    const why = (): string =>
      cluster.leader.scheduler.why('default', 'a').verdicts.find(({ node }) => node === 'n1')!.reason
    assert.match(why(), /^is suspect: no sign of life since 2026-01-01T12:00:0\dZ$/)
    await cluster.run(3_000)
    await pod('b', 'n1')
    await cluster.run(100)
    assert.match(
      cluster.leader.scheduler.why('default', 'b').verdicts.find(({ node }) => node === 'n1')!.reason,
      /^is lost: no sign of life since/,
    )
    cluster.agent('n1').reconnect()
    await cluster.until('both are placed', () => on('n1').length === 2, 2_000)
  })

  describe('when many vanish together', () => {
    it('nothing is evicted, it is said, and those that come back have lost nothing', async () => {
      await start({ controllers: 1, nodes: 6 }, 12)
      const gone = ['n1', 'n2', 'n3'].map((name) => cluster.agent(name))
      for (const agent of gone) agent.cutOff()
      await cluster.run(30_000)
      assert.deepEqual(cluster.health, ['lost', 'lost', 'lost', 'ready', 'ready', 'ready'])
      assert.equal(cluster.pods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined).length, 0)
      assert.equal(ready(), 6)
      assert.deepEqual(held(), ['Node n1 EvictionHeld', 'Node n2 EvictionHeld', 'Node n3 EvictionHeld'])
      assert.match(
        cluster.node('n1')!.status.conditions!.find(({ type }) => type === 'EvictionHeld')!.message!,
        /gantry annotate node n1 gantry\.dev\/lost=confirmed$/,
      )
      for (const agent of gone) agent.reconnect()
      await cluster.until('all is as before', () => ready() === 12, 1_000)
      await cluster.run(5_000)
      assert.ok(gone.every((agent) => agent.ended.length === 0 && agent.started.length === 2))
      assert.ok(
        cluster.any.informer
          .lister('Node')
          .list()
          .every(
            ({ spec, status }) =>
              spec.taints === undefined && !status.conditions!.some(({ type }) => type === 'EvictionHeld'),
          ),
      )
    })

    it('those that stay away are emptied once enough are back', async () => {
      await start({ controllers: 1, nodes: 6 }, 12)
      for (const name of ['n1', 'n2', 'n3']) cluster.agent(name).powerOff()
      await cluster.run(20_000)
      assert.equal(ready(), 6)
      cluster.agent('n3').reconnect()
      cluster.agent('n3').start()
      await cluster.until('n3 is back', () => ready() === 8, 2_000)
      await cluster.run(4_000)
      assert.equal(heldOf(cluster.node('n1')!)?.reason, 'NodesReturning')
      await cluster.until('all are ready', () => ready() === 12, 3_000)
      assert.deepEqual(unreachable(cluster.node('n1')!), ['NoExecute', 'NoSchedule'])
    })

    it('those that come back one after the other have lost nothing, the last neither', async () => {
      await start({ controllers: 1, nodes: 3 }, 6)
      const agents = ['n1', 'n2', 'n3'].map((name) => cluster.agent(name))
      for (const agent of agents) agent.cutOff()
      await cluster.run(20_000)
      for (const agent of agents) {
        agent.reconnect()
        await cluster.run(3_000)
      }
      await cluster.run(10_000)
      assert.deepEqual([ready(), cluster.pods.length, agents.map((agent) => agent.ended.length)], [6, 6, [0, 0, 0]])
      assert.ok(
        cluster.any.informer
          .lister('Node')
          .list()
          .every((node) => heldOf(node) === undefined && unreachable(node).length === 0),
      )
    })

    it('a person can say that a machine is gone for good', async () => {
      await start({ controllers: 1, nodes: 3 }, 6)
      for (const name of ['n1', 'n2']) cluster.agent(name).powerOff()
      await cluster.run(20_000)
      assert.equal(ready(), 2)
      await cluster.any.api.mutate(
        'Node',
        '',
        'n1',
        '',
        ({ metadata }) => void (metadata.annotations = { ...metadata.annotations, 'gantry.dev/lost': 'confirmed' }),
        { fieldManager: 'test' },
      )
      await cluster.until('the work of both is elsewhere', () => ready() === 6, 2_000)
      cluster.agent('n1').reconnect()
      cluster.agent('n1').start()
      await cluster.run(500)
      assert.equal(cluster.node('n1')!.metadata.annotations!['gantry.dev/lost'], undefined)
    })

    it('or delete their nodes: then their pods are collected', async () => {
      await start({ controllers: 1, nodes: 3 }, 6)
      for (const name of ['n1', 'n2']) cluster.agent(name).powerOff()
      await cluster.run(20_000)
      for (const name of ['n1', 'n2']) await cluster.any.api.delete('Node', '', name, {}, { fieldManager: 'test' })
      await cluster.until('all are ready on n3', () => ready() === 6 && cluster.pods.length === 6, 45_000)
    })

    it('the only node keeps its pods', async () => {
      await start({ controllers: 1, nodes: 1 }, 3)
      cluster.agent('n1').cutOff()
      await cluster.run(60_000)
      assert.equal(cluster.pods.length, 3)
      cluster.agent('n1').reconnect()
      await cluster.until('all is as before', () => ready() === 3, 1_000)
      assert.deepEqual(cluster.agent('n1').ended, [])
    })

    it('one of two is replaced', async () => {
      await start({ controllers: 1, nodes: 2 }, 4)
      cluster.agent('n1').powerOff()
      await cluster.until('all run on n2', () => cluster.agent('n2').running.length === 4 && ready() === 4, 6_500)
    })
  })

  describe('with three controllers', () => {
    it('nodes whose controller falls go to another, and nothing is seen of it', async () => {
      await start({ controllers: 3, nodes: 6 }, 12)
      const before = cluster.told.length
      const follower = cluster.controllers.find(({ name }) => name !== cluster.leader.name)!
      await follower.crash()
      await cluster.run(15_000)
      assert.deepEqual([cluster.health.every((is) => is === 'ready'), ready()], [true, 12])
      assert.deepEqual(cluster.told.slice(before), [])
    })

    it('a node that falls with its controller is counted by the leader, and replaced within 10 s', async () => {
      await start({ controllers: 3, nodes: 6 }, 12)
      const follower = cluster.controllers.find(({ name }) => name !== cluster.leader.name)!
      const victim = [...cluster.agents.keys()].find((name) => controllerOf(cluster.node(name)!) === follower.name)!
      cluster.agent(victim).powerOff()
      await follower.crash()
      const took = await cluster.until(
        'its work is elsewhere',
        () => ready() === 12 && on(victim).every(({ metadata }) => metadata.deletionTimestamp !== undefined),
        12_000,
      )
      assert.ok(took <= 10_000, `${took} ms`)
      assert.deepEqual(lost(), [`Node ${victim} NodeLost`])
    })

    it('the leader falls with a node it held: the next one gives all nodes time, and then replaces it', async () => {
      await start({ controllers: 3, nodes: 6 }, 12)
      const { leader } = cluster
      const victim = [...cluster.agents.keys()].find((name) => controllerOf(cluster.node(name)!) === leader.name)!
      cluster.agent(victim).powerOff()
      await leader.crash()
      const took = await cluster.until(
        'its work is elsewhere',
        () => ready() === 12 && on(victim).every(({ metadata }) => metadata.deletionTimestamp !== undefined),
        12_000,
      )
      assert.ok(took <= 10_000, `${took} ms`)
      assert.deepEqual(lost(), [`Node ${victim} NodeLost`])
      assert.notEqual(cluster.leader.name, leader.name)
    })

    it('the leader changes between the loss and its consequences: nothing is forgotten, nothing done twice', async () => {
      await start({ controllers: 3, nodes: 6 }, 12)
      const { leader } = cluster
      const victim = [...cluster.agents.keys()].find((name) => controllerOf(cluster.node(name)!) !== leader.name)!
      cluster.agent(victim).cutOff()
      await cluster.until('it is suspect', () => cluster.health.includes('suspect'), 4_000)
      await leader.crash()
      await cluster.until(
        'its work is elsewhere',
        () => ready() === 12 && on(victim).every(({ metadata }) => metadata.deletionTimestamp !== undefined),
        15_000,
      )
      await cluster.run(2_000)
      assert.equal(cluster.pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined).length, 12)
      assert.deepEqual(lost(), [`Node ${victim} NodeLost`])
    })

    it('the brake holds through a change of the leader', async () => {
      await start({ controllers: 3, nodes: 6 }, 12)
      const { leader } = cluster
      for (const [name, agent] of cluster.agents) if (controllerOf(cluster.node(name)!) !== leader.name) agent.cutOff()
      await cluster.run(10_000)
      assert.equal(cluster.health.filter((is) => is === 'lost').length, 4)
      await leader.crash()
      await cluster.run(60_000)
      assert.equal(cluster.pods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined).length, 0)
      for (const agent of cluster.agents.values()) agent.reconnect()
      await cluster.until('all is as before', () => ready() === 12, 1_000)
      assert.ok([...cluster.agents.values()].every(({ ended }) => ended.length === 0))
    })

    it('all controllers fall and come again: nodes have the time to come back', async () => {
      await start({ controllers: 3, nodes: 3 }, 6)
      const before = cluster.told.length
      for (const controller of [...cluster.controllers]) await controller.crash()
      await cluster.clock.advance(60_000)
      for (const name of ['c1', 'c2', 'c3']) cluster.addController(name)
      await cluster.run(20_000)
      assert.deepEqual([cluster.health, ready()], [['ready', 'ready', 'ready'], 6])
      assert.deepEqual(cluster.told.slice(before), [])
    })
  })

  describe('whatever happens to nodes and controllers', () => {
    for (let seed = 1; seed <= 6; seed++) {
      it(`in the end there are as many pods as asked for, each running once, and nothing is marked (seed ${seed})`, async () => {
        await start({ controllers: 3, nodes: 5 }, 10)
        const random = seededRandom(seed)
        const any = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)]!
        const agents = [...cluster.agents.values()]
        for (let round = 0; round < 25; round++) {
          const agent = any(agents)
          const act = any<() => void | Promise<void>>([
            () => agent.cutOff(),
            () => agent.reconnect(),
            () => agent.goOn(),
            () => {
              agent.stop()
              agent.reconnect()
              agent.start()
            },
            async () => {
              const name = any(['c1', 'c2', 'c3'])
              await cluster.controller(name).crash()
              cluster.addController(name)
            },
          ])
          await act()
          await cluster.run(Math.floor(random.next() * 7_000))
          const { length } = cluster.pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
          assert.ok(length <= 10, `${length} pods wanted`)
        }
        for (const agent of agents) agent.reconnect()
        const unmarked = (node: Node): boolean => node.spec.taints === undefined && heldOf(node) === undefined
        const quiet = (): boolean =>
          ready() === 10 &&
          cluster.pods.length === 10 &&
          cluster.pods.every(({ status }) => status.reason === undefined) &&
          cluster.health.every((is) => is === 'ready') &&
          cluster.any.informer.lister('Node').list().every(unmarked)
        await cluster.until('all is well', quiet, 20_000)
        await cluster.run(1_000)
        assert.ok(quiet())
        assert.deepEqual(
          agents.flatMap(({ running }) => running).sort(),
          cluster.pods.map(({ metadata }) => metadata.name).sort(),
        )
      })
    }
  })

  describe('a rollout while a node is lost', () => {
    it('goes on though old pods there cannot be seen to end', async () => {
      await start({ controllers: 1, nodes: 4 }, 8)
      cluster.agent('n4').cutOff()
      await cluster.run(500)
      await cluster.any.api.mutate(
        'Deployment',
        'default',
        'web',
        '',
        ({ spec }) => void (spec.template.spec.containers[0]!.image = 'two'),
        { fieldManager: 'test' },
      )
      const done = (): boolean => {
        const { status, metadata, spec } = cluster.deployment('web')
        return (
          spec.template.spec.containers[0]!.image === 'two' &&
          status.observedGeneration === metadata.generation &&
          status.updatedReplicas === 8 &&
          status.availableReplicas === 8 &&
          status.replicas === 8
        )
      }
      await cluster.until('it is complete', done, 15_000)
      assert.ok(on('n4').length > 0 && on('n4').every(({ metadata }) => metadata.deletionTimestamp !== undefined))
      cluster.agent('n4').reconnect()
      await cluster.until(
        'the old ones end',
        () => on('n4').length === 0 && cluster.agent('n4').running.length === 0,
        1_000,
      )
    })
  })
})
