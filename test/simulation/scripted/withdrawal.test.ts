/** Pods that take connections end: none before everybody who could send it any has stopped. */
import assert from 'node:assert/strict'
import { DRAIN_GRACE_MS } from '../../../controller/dispatch/network/endpoint-drain.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { isReady } from '../../../proto/objects/pod.ts'
import { takers } from '../endpoints.ts'
import type { Fact } from '../facts.ts'
import type { ClusterShape } from '../simulated-cluster.ts'
import { ScriptedCluster } from './scripted-cluster.ts'

/** How a pod that was being deleted came to its end. */
interface PodEnd {
  readonly uid: string
  /** Its node was told that nobody sends the pod anything any more; else the time was up. */
  readonly drained: boolean
  /** Milliseconds since its node was told to end it. */
  readonly after: number
  /** Nodes that still sent the pod something, or began to later. */
  readonly senders: string[]
}

describe('scripted simulation of withdrawals', () => {
  let cluster: ScriptedCluster
  let ends: PodEnd[]
  /** Pods that a slice names as taking connections after they have ended. */
  let revived: string[]

  async function start(shape: ClusterShape, replicas: number, seed?: number): Promise<void> {
    cluster = await ScriptedCluster.start(shape, seed)
    followEnds()
    await cluster.create({
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default' },
      spec: { clusterIP: 'None', selector: { app: 'web' }, ports: [{ port: 80 }] },
    })
    await cluster.deploy('web', replicas)
    await cluster.until('all take connections', () => taking().length === replicas, 5_000)
    await cluster.until(
      'every node knows',
      () => cluster.nodes.every(({ sendsTo }) => sendsTo.size === replicas),
      2_000,
    )
  }

  function followEnds(): void {
    ends = []
    revived = []
    const since = new Map<string, number>()
    const drained = new Set<string>()
    const ended = new Set<string>()
    cluster.observe((fact: Fact) => {
      switch (fact.is) {
        case 'given': {
          const { uid } = fact.object.metadata
          if (fact.object.kind === 'Pod' && isDeleting(fact.object) && !since.has(uid)) since.set(uid, cluster.time)
          return
        }
        case 'drained':
          return fact.podUids.forEach((uid) => drained.add(uid))
        case 'ended': {
          const uid = fact.instance.podUid
          ended.add(uid)
          const senders = cluster.nodes.filter(({ sendsTo }) => sendsTo.has(uid)).map(({ name }) => name)
          ends.push({ uid, drained: drained.has(uid), after: cluster.time - since.get(uid)!, senders })
          return
        }
        case 'sends':
          for (const { uid, senders } of ends) if (fact.podUids.has(uid)) senders.push(fact.node)
          return
        case 'committed':
          if (fact.after?.kind === 'EndpointSlice') revived.push(...takers(fact.after).filter((uid) => ended.has(uid)))
          return
        case 'acknowledged':
        case 'read':
        case 'begun':
        case 'powerLost':
          return
      }
    })
  }

  const taking = (): string[] => cluster.list('EndpointSlice').flatMap(takers)
  const scale = (replicas: number): Promise<void> =>
    cluster.change('Deployment', 'default', 'web', ({ spec }) => void (spec.replicas = replicas))
  const settled = (replicas: number, limit = 10_000): Promise<number> =>
    cluster.until(
      `${replicas} pods are left`,
      () => cluster.pods.length === replicas && taking().length === replicas,
      limit,
    )
  const slowdown = (lag: (index: number) => number): void =>
    cluster.nodes.forEach(({ machine }, index) => (machine.networkLag = lag(index)))

  it('no pod is ended while a node sends it anything, however slowly they follow, whichever controller they have', async () => {
    await start({ controllers: 2, nodes: 6 }, 8)
    slowdown((index) => 150 * (index + 1))
    await scale(2)
    await settled(2)
    assert.equal(ends.length, 6)
    // The slowest node takes 900 ms; the pod's own hears of the deletion up to 200 ms later than others.
    assert.ok(
      ends.every(({ drained, after }) => drained && after >= 700 + DRAIN_GRACE_MS && after < 3_500),
      JSON.stringify(ends),
    )
    assert.deepEqual([ends.flatMap(({ senders }) => senders), revived], [[], []])
  })

  it('a node that does not follow holds up an end for 5 s, one that is lost no longer than that takes', async () => {
    await start({ controllers: 2, nodes: 4 }, 8)
    const n4 = cluster.node('n4')
    n4.machine.networkLag = Infinity
    await scale(6)
    await settled(6)
    assert.equal(ends.length, 2)
    assert.ok(
      ends.every(({ after }) => after >= 4_900 && after <= 5_200),
      JSON.stringify(ends),
    )
    ends.length = 0
    n4.powerOff()
    await cluster.until('n4 is lost', () => cluster.health[3] === 'lost', 6_000)
    await cluster.until('six are ready on the others', () => taking().length === 6, 3_000)
    await scale(3)
    await cluster.until('three are ready', () => taking().length === 3, 3_000)
    await cluster.until('the others have ended', () => ends.length === 3, 2_000)
    assert.ok(
      ends.every(({ drained, after }) => drained && after >= DRAIN_GRACE_MS && after < DRAIN_GRACE_MS + 500),
      JSON.stringify(ends),
    )
  })

  it('a suspect node is sent nothing new, and again once it speaks', async () => {
    await start({ controllers: 1, nodes: 5 }, 5)
    const { uid } = cluster.podsOn('n2')[0]!.metadata
    const others = cluster.nodes.filter(({ name }) => name !== 'n2')
    cluster.node('n2').pause(4_500)
    await cluster.until('n2 is suspect', () => cluster.health[1] === 'suspect', 3_500)
    await cluster.until('nothing is sent there', () => others.every(({ sendsTo }) => !sendsTo.has(uid)), 300)
    assert.ok(!taking().includes(uid))
    await cluster.until('it is back', () => taking().includes(uid), 2_000)
    await cluster.until('it is sent something', () => others.every(({ sendsTo }) => sendsTo.has(uid)), 300)
  })

  it('the leader falls as pods are deleted: the next one withdraws them, or 5 s pass; a node that dials anew is told again', async () => {
    await start({ controllers: 3, nodes: 4 }, 6)
    slowdown(() => 100)
    await scale(3)
    await cluster.until('pods are deleted', () => cluster.pods.some(isDeleting), 1_000)
    cluster.leader.kill()
    await settled(3, 30_000)
    assert.equal(ends.length, 3)
    assert.ok(
      ends.every(({ drained, after, senders }) => after <= 5_200 && (!drained || senders.length === 0)),
      JSON.stringify(ends),
    )
    assert.deepEqual(
      revived.filter((uid) => ends.some((end) => end.uid === uid && end.drained)),
      [],
    )
  })

  it('a pod that is deleted as it becomes ready is not sent anything once withdrawn', async () => {
    await start({ controllers: 2, nodes: 4 }, 4)
    // Chance says which is written first: that a pod takes connections, or that it is being deleted.
    cluster.etcd.slowness = 50
    const deletions: Promise<void>[] = []
    cluster.observe((fact) => {
      if (fact.is !== 'committed' || fact.before?.kind !== 'Pod' || fact.after?.kind !== 'Pod') return
      if (deletions.length === 16 || isReady(fact.before) || !isReady(fact.after)) return
      deletions.push(cluster.askToDelete('Pod', 'default', fact.after.metadata.name))
    })
    await scale(8)
    await cluster.until('16 pods have ended', () => ends.length >= 16, 20_000)
    await Promise.all(deletions)
    await settled(8)
    assert.deepEqual(
      ends.filter(({ after, senders }) => after >= 4_900 || senders.length > 0),
      [],
    )
    assert.deepEqual(revived, [])
  })

  it('pods that are deleted at any moment of their beginning are not sent anything once withdrawn', async () => {
    await start({ controllers: 2, nodes: 3 }, 6)
    const random = seededRandom(1)
    slowdown(() => 1 + Math.floor(random.next() * 1_500))
    for (let round = 0; round < 15; round++) {
      const alive = cluster.pods
        .filter((pod) => !isDeleting(pod) && pod.spec.nodeName !== undefined)
        .sort((a, b) => Number(b.metadata.resourceVersion) - Number(a.metadata.resourceVersion))
      const chosen = alive[Math.floor(random.next() * Math.min(3, alive.length))]
      if (chosen !== undefined) await cluster.delete('Pod', 'default', chosen.metadata.name)
      await cluster.run(Math.floor(random.next() * 200))
    }
    await settled(6)
    assert.ok(ends.length >= 12, `${ends.length} ends`)
    // Pods that have not been ready yet need not wait; none waits until its time is up.
    assert.ok(ends.filter(({ drained }) => drained).length >= 5, JSON.stringify(ends))
    assert.deepEqual(
      ends.filter(({ after, senders }) => after >= 4_900 || senders.length > 0),
      [],
    )
    assert.deepEqual(revived, [])
  })
})
