/** How fast the scheduler places pods: on its own, and with informer and binds over a store in memory and over etcd. */
import { SchedulerCache } from '../../controller/scheduler/cache.ts'
import { EquivalenceCache } from '../../controller/scheduler/equivalence-cache.ts'
import { allPlugins } from '../../controller/scheduler/plugins/all.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { SoleWriterStore } from '../../controller/store/sole-writer.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import type { Store } from '../../controller/store/contract.ts'
import { node, pod, put, TestCluster, type PodOptions } from '../controller/scheduler/cluster.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { seededRandom, systemRandom } from '../../proto/base/random.ts'
import type { Node, Pod } from '../../proto/gen/types.ts'
import { TestEtcd } from '../integration/store-etcd.ts'
import type { Effort, Figure, Goal } from './figures.ts'

const ROUNDS = 3
/** Pods a second, the last of them through store and informer, in memory and in etcd alike. */
const GOALS = { place: { atLeast: 20_000 }, spread: { atLeast: 10_000 }, written: { atLeast: 2_000 } }

function nodes(count: number): Node[] {
  return Array.from({ length: count }, (_, index) =>
    node(`node-${index}`, { cpu: '32', memory: '64Gi', labels: { zone: `zone-${index % 3}` } }),
  )
}

function pods(count: number, options: (index: number) => PodOptions = () => ({})): Pod[] {
  return Array.from({ length: count }, (_, index) =>
    pod(`pod-${index}`, {
      cpu: '100m',
      memory: '128Mi',
      owner: `owner-${index % 20}`,
      labels: { app: 'web' },
      ...options(index),
    }),
  )
}

interface Placing {
  readonly name: string
  readonly nodes: number
  readonly pods: number
  readonly options?: (index: number) => PodOptions
  readonly goal?: Goal
}

/** Pods a second, placing alone. */
function placing({ name, nodes: nodeCount, pods: podCount, options, goal = GOALS.place }: Placing): Figure {
  const samples = Array.from({ length: ROUNDS }, (_, round) => {
    const cache = new SchedulerCache()
    for (const one of nodes(nodeCount)) cache.setNode(one)
    const equivalence = new EquivalenceCache(cache, allPlugins, seededRandom(round))
    const waiting = pods(podCount, options)
    const began = process.cpuUsage()
    for (const one of waiting) {
      const placement = equivalence.place(one)
      if (!placement.fits) throw new Error(`${one.metadata.name} does not fit`)
      cache.assume(one, placement.node.name)
    }
    const { user, system } = process.cpuUsage(began)
    return podCount / ((user + system) / 1e6)
  })
  const note = `${podCount} pods, by processor time`
  return { name: `${name}, ${nodeCount} nodes`, unit: 'pods/s', samples, goal, note }
}

/** Pods a second from the first written to the last bind seen by the informer. */
async function writtenToBound(store: Store, nodeCount: number, podCount: number): Promise<number> {
  const cluster = new TestCluster(systemClock, {}, store)
  await cluster.start()
  for (let from = 0; from < nodeCount; from += 100)
    await cluster.write(
      nodes(nodeCount)
        .slice(from, from + 100)
        .map(put),
    )
  let left = podCount
  let done: () => void
  const all = new Promise<void>((resolve) => (done = resolve))
  cluster.informer.on('Pod', ({ cached, previous }) => {
    if (previous?.object.spec.nodeName === undefined && cached.object.spec.nodeName !== undefined && --left === 0)
      done()
  })
  const waiting = pods(podCount)
  const began = performance.now()
  for (let from = 0; from < podCount; from += 100) await cluster.write(waiting.slice(from, from + 100).map(put))
  await all
  const rate = podCount / ((performance.now() - began) / 1000)
  await cluster.stop()
  return rate
}

async function inMemory(nodeCount: number, podCount: number, rounds: number): Promise<Figure> {
  const samples: number[] = []
  for (let round = 0; round < rounds; round++)
    samples.push(await writtenToBound(new MemoryStore(systemClock), nodeCount, podCount))
  const name = `write to bound, ${nodeCount} nodes`
  return { name, unit: 'pods/s', samples, goal: GOALS.written, note: `${podCount} pods, memory store` }
}

/** In an etcd that waits for its disk, as the controller's own does. */
async function inEtcd(nodeCount: number, podCount: number, rounds: number): Promise<Figure> {
  const samples: number[] = []
  for (let round = 0; round < rounds; round++) {
    const etcd = await TestEtcd.start(['--unsafe-no-fsync=false'])
    try {
      const store = new SoleWriterStore(new EtcdStore({ endpoints: [etcd.endpoint], clock: systemClock }, systemRandom))
      samples.push(await writtenToBound(store, nodeCount, podCount))
      await store.close()
    } finally {
      await etcd.remove()
    }
  }
  const name = `write to bound in etcd, ${nodeCount} nodes`
  return { name, unit: 'pods/s', samples, goal: GOALS.written, note: `${podCount} pods` }
}

export async function schedulerFigures(effort: Effort): Promise<Figure[]> {
  const constraint = {
    maxSkew: 1,
    topologyKey: 'zone',
    whenUnsatisfiable: 'DoNotSchedule' as const,
    labelSelector: { matchLabels: { app: 'web' } },
  }
  const spread: Placing['options'] = () => ({ spec: { topologySpreadConstraints: [constraint] } })
  return [
    placing({ name: 'place', nodes: 100, pods: 5000 }),
    placing({ name: 'place', nodes: 1000, pods: 5000 }),
    placing({ name: 'place', nodes: 5000, pods: 5000 }),
    placing({
      name: 'place, 5 of each owner',
      nodes: 5000,
      pods: 5000,
      options: (index) => ({ owner: `owner-${Math.floor(index / 5)}` }),
    }),
    placing({ name: 'place, one owner', nodes: 5000, pods: 20_000, options: () => ({ owner: 'one' }) }),
    placing({ name: 'place, spread over zones', nodes: 1000, pods: 5000, options: spread, goal: GOALS.spread }),
    placing({ name: 'place, spread over zones', nodes: 5000, pods: 5000, options: spread, goal: GOALS.spread }),
    await inMemory(1000, 5000, effort.quick ? 1 : ROUNDS),
    await inEtcd(1000, 5000, effort.quick ? 1 : ROUNDS),
    await inEtcd(5000, 5000, effort.quick ? 1 : ROUNDS),
  ]
}
