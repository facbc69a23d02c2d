/** How fast the scheduler places pods: on its own, and with store, informer and binds in memory. */
import { SchedulerCache } from '../../controller/scheduler/cache.ts'
import { place } from '../../controller/scheduler/placement.ts'
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

function pods(count: number, options: PodOptions): Pod[] {
  return Array.from({ length: count }, (_, index) =>
    pod(`pod-${index}`, {
      cpu: '100m',
      memory: '128Mi',
      owner: `owner-${index % 20}`,
      labels: { app: 'web' },
      ...options,
    }),
  )
}

/** Pods a second, placing alone. */
function placing(name: string, nodeCount: number, podCount: number, goal: Goal, options: PodOptions = {}): Figure {
  const samples = Array.from({ length: ROUNDS }, (_, round) => {
    const cache = new SchedulerCache()
    for (const one of nodes(nodeCount)) cache.setNode(one)
    const random = seededRandom(round)
    const began = performance.now()
    let from = 0
    for (const one of pods(podCount, options)) {
      const placement = place(one, cache, allPlugins, random, from)
      if (!placement.fits) throw new Error(`${one.metadata.name} does not fit`)
      from = (from + placement.outcomes.length) % nodeCount
      cache.assume(one, placement.node.name)
    }
    return podCount / ((performance.now() - began) / 1000)
  })
  return { name: `${name}, ${nodeCount} nodes`, unit: 'pods/s', samples, goal, note: `${podCount} pods` }
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
    const waiting = pods(podCount, {})
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
  const spread = { spec: { topologySpreadConstraints: [constraint] } }
  return [
    placing('place', 100, 5000, GOALS.place),
    placing('place', 1000, 5000, GOALS.place),
    placing('place', 5000, 5000, GOALS.place),
    placing('place, spread over zones', 1000, 1000, GOALS.spread, spread),
    await throughStore(1000, 5000, effort.quick ? 1 : ROUNDS),
  ]
}
