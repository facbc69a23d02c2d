/** How fast the scheduler places pods: on its own, and with store, informer and binds in memory. */
import { SchedulerCache } from '../../controller/scheduler/cache.ts'
import { EquivalenceCache } from '../../controller/scheduler/equivalence-cache.ts'
import { allPlugins } from '../../controller/scheduler/plugins/all.ts'
import { node, pod, put, TestCluster, type PodOptions } from '../controller/scheduler/cluster.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { seededRandom } from '../../proto/base/random.ts'
import type { Node, Pod } from '../../proto/gen/types.ts'
import type { Effort, Figure, Goal } from './figures.ts'

const ROUNDS = 3
/** Pods a second, the last of them through store and informer. */
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

/** Pods a second from the first written to the last bind seen by the informer; store, informer and binds in memory. */
async function throughStore(nodeCount: number, podCount: number, rounds: number): Promise<Figure> {
  const samples: number[] = []
  for (let round = 0; round < rounds; round++) {
    const cluster = new TestCluster(systemClock)
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
    samples.push(podCount / ((performance.now() - began) / 1000))
    await cluster.stop()
  }
  return {
    name: `write to bound, ${nodeCount} nodes`,
    unit: 'pods/s',
    samples,
    goal: GOALS.written,
    note: `${podCount} pods, memory store`,
  }
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
    await throughStore(1000, 5000, effort.quick ? 1 : ROUNDS),
  ]
}
