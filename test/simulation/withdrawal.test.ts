/**
 * Pods that take connections end, in a whole control plane under simulated time: none before everybody who could send
 * it any has stopped.
 */
import assert from 'node:assert/strict'
import { DRAIN_GRACE_MS } from '../../controller/dispatch/network/endpoint-drain.ts'
import { seededRandom } from '../../proto/base/random.ts'
import type { EndpointSlice, Pod } from '../../proto/gen/types.ts'
import type { PodEnd } from './simulated-agent.ts'
import { PartialCluster } from './cluster.ts'

describe('simulation of withdrawals', function () {
  this.timeout(60_000)
  let cluster: PartialCluster
  /** Ends, and the nodes that still sent the pod something then. */
  let ends: (PodEnd & { readonly senders: readonly string[] })[]
  /** Pods that a slice names as taking connections after their node was told that none does. */
  let revived: string[]

  async function start(shape: { controllers: number; nodes: number }, replicas: number): Promise<void> {
    cluster = await PartialCluster.start(shape)
    ends = []
    revived = []
    const withdrawn = new Set<string>()
    for (const agent of cluster.agents.values()) {
      agent.waitsForWithdrawal = true
      agent.onEnd = (end) => {
        withdrawn.add(end.uid)
        ends.push({
          ...end,
          senders: [...cluster.agents.values()].filter(({ sendsTo }) => sendsTo.has(end.uid)).map(({ name }) => name),
        })
      }
    }
    cluster.any.informer.on('EndpointSlice', ({ type, cached: { object } }) => {
      if (type !== 'deleted') revived.push(...takers(object).filter((uid) => withdrawn.has(uid)))
    })
    await cluster.any.api.create(
      {
        kind: 'Service',
        metadata: { name: 'web', namespace: 'default' },
        spec: { clusterIP: 'None', selector: { app: 'web' }, ports: [{ port: 80 }] },
      },
      { fieldManager: 'test' },
    )
    await cluster.deploy('web', replicas)
    await cluster.until('all take connections', () => taking().length === replicas, 5_000)
    await cluster.until(
      'every node knows',
      () => [...cluster.agents.values()].every(({ sendsTo }) => sendsTo.size === replicas),
      2_000,
    )
  }

  afterEach(() => cluster.stop())

  const takers = ({ endpoints = [] }: EndpointSlice): string[] =>
    endpoints.flatMap(({ conditions, targetRef }) =>
      conditions?.ready !== false && conditions?.terminating !== true && targetRef?.uid !== undefined
        ? [targetRef.uid]
        : [],
    )
  const taking = (): string[] => cluster.any.informer.lister('EndpointSlice').list().flatMap(takers)
  const scale = (replicas: number): Promise<unknown> =>
    cluster.any.api.mutate(
      'Deployment',
      'default',
      'web',
      '',
      (deployment) => void (deployment.spec.replicas = replicas),
      { fieldManager: 'test' },
    )
  const remove = (name: string): Promise<unknown> =>
    cluster.any.api.delete('Pod', 'default', name, {}, { fieldManager: 'test' })
  const settled = (replicas: number, limit = 10_000): Promise<number> =>
    cluster.until(
      `${replicas} pods are left`,
      () => cluster.pods.length === replicas && taking().length === replicas,
      limit,
    )

  it('no pod is ended while a node sends it anything, however slowly they follow, whichever controller they have', async () => {
    await start({ controllers: 3, nodes: 6 }, 12)
    let delay = 0
    for (const agent of cluster.agents.values()) agent.followsAfter = delay += 150
    await scale(2)
    await settled(2)
    assert.equal(ends.length, 10)
    assert.ok(
      ends.every(({ notified: told, after }) => told && after >= 850 && after < 2_500),
      JSON.stringify(ends),
    )
    assert.deepEqual([ends.flatMap(({ senders }) => senders), revived], [[], []])
  })

  it('a node that does not follow holds up an end for 5 s, one that is lost no longer than that takes, one without power likewise', async () => {
    await start({ controllers: 3, nodes: 4 }, 8)
    cluster.agent('n4').followsAfter = Infinity
    await scale(6)
    await settled(6)
    assert.equal(ends.length, 2)
    assert.ok(
      ends.every(({ after }) => after >= 4_900 && after <= 5_200),
      JSON.stringify(ends),
    )
    ends = []
    cluster.agent('n4').powerOff()
    await cluster.until('n4 is lost', () => cluster.health[3] === 'lost', 6_000)
    await cluster.until('six are ready on the others', () => taking().length === 6, 3_000)
    await scale(3)
    await cluster.until('three are ready', () => taking().length === 3, 3_000)
    await cluster.until('the others have ended', () => ends.length === 3, 2_000)
    assert.ok(
      ends.every(({ notified: told, after }) => told && after >= DRAIN_GRACE_MS && after < DRAIN_GRACE_MS + 500),
      JSON.stringify(ends),
    )
  })

  it('a suspect node is sent nothing new, and ends of pods elsewhere wait for it 5 s at most', async () => {
    await start({ controllers: 1, nodes: 5 }, 5)
    const { uid } = cluster.pods.find(({ spec }) => spec.nodeName === 'n2')!.metadata
    cluster.agent('n2').cutOff()
    await cluster.until('n2 is suspect', () => cluster.health[1] === 'suspect', 4_000)
    await cluster.run(100)
    assert.ok(!taking().includes(uid))
    for (const name of ['n1', 'n3', 'n4', 'n5']) assert.ok(!cluster.agent(name).sendsTo.has(uid), name)
    cluster.agent('n2').goOn()
    await cluster.until('it is back', () => taking().includes(uid), 500)
    await cluster.run(100)
    for (const name of ['n1', 'n3', 'n4', 'n5']) assert.ok(cluster.agent(name).sendsTo.has(uid), name)
  })

  it('the leader falls as pods are deleted: the next one withdraws them, or 5 s pass; a node that dials anew is told again', async () => {
    await start({ controllers: 3, nodes: 6 }, 12)
    for (const agent of cluster.agents.values()) agent.followsAfter = 100
    await scale(6)
    await cluster.until(
      'pods are deleted',
      () => cluster.pods.some(({ metadata }) => metadata.deletionTimestamp !== undefined),
      1_000,
    )
    await cluster.leader.crash()
    await settled(6, 30_000)
    assert.equal(ends.length, 6)
    assert.ok(
      ends.every(({ notified: told, after, senders }) => after <= 5_050 && (!told || senders.length === 0)),
      JSON.stringify(ends),
    )
    assert.deepEqual(
      revived.filter((uid) => ends.some((end) => end.uid === uid && end.notified)),
      [],
    )
  })

  it('a pod that is deleted as it becomes ready is not sent anything once withdrawn', async () => {
    await start({ controllers: 3, nodes: 4 }, 4)
    const deletions: Promise<unknown>[] = []
    let deleted = 0
    cluster.any.informer.on('Pod', ({ cached: { object }, previous }) => {
      const isReady = ({ status }: Pod): boolean =>
        status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true
      if (deleted === 20 || previous === undefined || isReady(previous.object) || !isReady(object)) return
      deleted++
      deletions.push(remove(object.metadata.name))
    })
    await scale(8)
    await cluster.until('20 pods have ended', () => ends.length >= 20, 20_000)
    await Promise.all(deletions)
    await settled(8)
    assert.deepEqual([ends.flatMap(({ senders }) => senders), revived], [[], []])
  })

  for (const seed of [1, 2, 3]) {
    it(`pods that are deleted at any moment of their beginning are not sent anything once withdrawn (seed ${seed})`, async () => {
      await start({ controllers: 2, nodes: 4 }, 8)
      const random = seededRandom(seed)
      for (const agent of cluster.agents.values()) agent.followsAfter = 1 + Math.floor(random.next() * 200)
      for (let round = 0; round < 40; round++) {
        const alive = cluster.pods
          .filter(({ metadata, spec }) => metadata.deletionTimestamp === undefined && spec.nodeName !== undefined)
          .sort((a, b) => Number(b.metadata.resourceVersion) - Number(a.metadata.resourceVersion))
        const chosen = alive[Math.floor(random.next() * Math.min(3, alive.length))]
        if (chosen !== undefined) await remove(chosen.metadata.name)
        await cluster.run(Math.floor(random.next() * 200))
      }
      await settled(8)
      assert.ok(ends.length >= 30, `${ends.length} ends`)
      assert.deepEqual(
        ends.filter(({ notified: told, senders }) => !told || senders.length > 0),
        [],
      )
      assert.deepEqual(revived, [])
    })
  }
})
