/** What pods cost the node that they run on: processes of a start, writes of the status, and a node that is full. */
import { delay, systemClock } from '../../proto/base/clock.ts'
import { Cluster } from '../e2e/cluster.ts'
import { wholeTime } from './cost/processor-time.ts'
import { median, sampleCount, type Effort, type Figure, type Share } from './figures.ts'
import { pss } from './memory.ts'
import { apply, deploymentOf, podOf, PodWatcher, remove } from './pods.ts'
import { ProcessTrace } from './process-trace.ts'

/** Pods that are watched one after the other. */
const SINGLE = 10
/** Pods of a node that is full. */
const MANY = 300
/** Milliseconds for which a node at rest is watched. */
const REST = 20_000
/** More addresses than an IPv4 range of a node has. */
const SETTINGS = {
  controller: { podCidr: 'fd00:10:244::/48', serviceCidr: 'fd00:10:96::/112' },
  agent: { capacity: { pods: String(2 * MANY) } },
}

export async function nodeFigures(effort: Effort): Promise<Figure[]> {
  const cluster = await Cluster.start('bench-node', 1, { settings: SETTINGS })
  try {
    return [...(await processFigures(cluster, sampleCount(effort, SINGLE))), ...(await fullNodeFigures(cluster))]
  } finally {
    await cluster.stop()
  }
}

/** Processes from the call of apply to Running, and from the deletion to the end, beside the pod's own. */
async function processFigures(cluster: Cluster, count: number): Promise<Figure[]> {
  const watcher = await PodWatcher.start(cluster)
  const counts = { start: [] as ReadonlyMap<string, number>[], removal: [] as ReadonlyMap<string, number>[] }
  for (let number = -1; number < count; number++) {
    const name = `process-${number + 1}`
    const traced = async (what: keyof typeof counts, act: () => Promise<unknown>): Promise<void> => {
      const trace = await ProcessTrace.start([agentOf(cluster)])
      await act()
      const found = await trace.stop()
      // The first pod's image has to be pulled.
      if (number >= 0) counts[what].push(found)
    }
    await traced('start', async () => {
      const running = watcher.running(name)
      await apply(cluster, podOf(name))
      await running
    })
    await traced('removal', async () => {
      const gone = watcher.gone(name)
      await remove(cluster, podOf(name))
      await gone
    })
  }
  await watcher.stop()
  return [
    processFigure('processes of a start', counts.start, "beside the pod's own"),
    processFigure('processes of a removal', counts.removal),
  ]
}

function processFigure(name: string, counts: readonly ReadonlyMap<string, number>[], note?: string): Figure {
  const names = new Set(counts.flatMap((count) => [...count.keys()]))
  const shares = [...names]
    .map((program): Share => ({ name: program, value: median(counts.map((count) => count.get(program) ?? 0)) }))
    .filter(({ value }) => value > 0)
    .sort((a, b) => b.value - a.value)
  const samples = counts.map((count) => [...count.values()].reduce((sum, value) => sum + value, 0))
  return { name, unit: 'processes', samples, shares, ...(note === undefined ? {} : { note }) }
}

async function fullNodeFigures(cluster: Cluster): Promise<Figure[]> {
  const watcher = await PodWatcher.start(cluster)
  const agent = agentOf(cluster)
  const began = performance.now()
  const atFirst = wholeTime(agent)
  const many = deploymentOf('many', MANY)
  await apply(cluster, many)
  await watcher.allRunning(MANY, 600_000)
  const seconds = (performance.now() - began) / 1000
  const perPod = (wholeTime(agent) - atFirst) / 1000 / MANY
  const writes = watcher.writesToRunning()
  await delay(systemClock, REST / 4)
  const before = wholeTime(agent)
  await delay(systemClock, REST)
  const idle = (100 * (wholeTime(agent) - before)) / 1000 / REST
  const weight = pss(agent)
  await remove(cluster, many)
  await watcher.allGone(600_000)
  await watcher.stop()
  return [
    { name: `${MANY} pods run`, unit: 's', samples: [seconds], note: 'all of them on one node' },
    {
      name: 'writes from bind to Running',
      unit: 'writes',
      samples: writes,
      goal: { atMost: 3, p99: 3 },
      note: 'of a pod, as a watcher sees them',
    },
    { name: 'agent: processor', unit: 'ms', samples: [perPod], note: 'of a pod until it runs' },
    { name: 'agent: at rest', unit: '%', samples: [idle], goal: { atMost: 2 }, note: 'of a processor' },
    { name: 'agent: weight', unit: 'MB', samples: [weight], goal: { atMost: 100 }, note: 'Pss' },
  ]
}

function agentOf(cluster: Cluster): number {
  return cluster.processes('n1', 'gantry-agent.cjs')[0]!.pid
}
