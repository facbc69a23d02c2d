/** The figures of a running cluster: how fast a pod starts, how fast many do, what it weighs. */
import { setInterval } from 'node:timers/promises'
import { Cluster } from '../e2e/cluster.ts'
import { floorOf, median, sampleCount, type Effort, type Figure, type Floor } from './figures.ts'
import { pss } from './memory.ts'
import { nodeStartFigure } from './node-start.ts'
import { apply, deploymentOf, podOf, PodWatcher, remove } from './pods.ts'
import { bareTimes, startGoal } from './runtime/runtime.ts'

/** Replicas that start at once on one node. */
const BURST = 100

export async function clusterFigures(effort: Effort): Promise<Figure[]> {
  const bare = await bareTimes('crun', { single: sampleCount(effort, 20), burst: BURST })
  const cluster = await Cluster.start('bench', 3)
  try {
    const weight = weightFigures(cluster)
    const start = await startFigures(cluster, sampleCount(effort, 50), {
      name: 'bare conmon + create + start',
      value: median(bare.whole),
    })
    const cli = await cliFigures(cluster, sampleCount(effort, 15))
    const burst = await burstFigure(cluster, effort.quick ? 1 : 3, {
      name: `bare ${BURST} at once`,
      value: median(bare.burst) / 1000,
    })
    return [...start, burst.figure, ...weight, ...burst.whileRunning, ...cli]
  } finally {
    await cluster.stop()
  }
}

/**
 * Milliseconds from the call of apply to Running as a watcher sees it, one pod after the other is gone, the image
 * present.
 */
async function startFigures(cluster: Cluster, count: number, floor: Floor): Promise<Figure[]> {
  const watcher = await PodWatcher.start(cluster)
  const samples: number[] = []
  const steps = new Map<string, number[]>()
  const nodes = ['n1', 'n2', 'n3']
  for (let number = -nodes.length; number < count; number++) {
    const name = `start-${number + nodes.length}`
    // The first pods go one to each node, so that each node has the image.
    const node = number < 0 ? nodes[number + nodes.length] : undefined
    const running = watcher.running(name)
    const began = performance.now()
    await apply(cluster, podOf(name, node))
    const seen = await running
    if (number >= 0) {
      samples.push(performance.now() - began)
      const timeline = seen.status.timeline ?? []
      const first = Date.parse(timeline[0]?.time ?? '')
      for (const { step, time } of timeline) steps.set(step, [...(steps.get(step) ?? []), Date.parse(time) - first])
    }
    const gone = watcher.gone(name)
    await remove(cluster, podOf(name))
    await gone // its node has released it: the next one does not share the machine with its removal
  }
  await watcher.stop()
  return [
    {
      name: 'start',
      unit: 'ms',
      samples,
      floor,
      goal: { ...startGoal(floor), atMost: 45 },
      note: 'apply → Running at a watcher',
    },
    ...[...steps].map(([step, millis]): Figure => ({
      name: `  ${step}`,
      unit: 'ms',
      samples: millis,
      note: 'after accepted',
    })),
  ]
}

/** Seconds from the apply of a Deployment to all of its pods Running, all of them on one node. */
async function burstFigure(
  cluster: Cluster,
  rounds: number,
  floor: Floor,
): Promise<{ figure: Figure; whileRunning: Figure[] }> {
  const deployment = deploymentOf('burst', BURST, 'n1')
  const samples: number[] = []
  let whileRunning: Figure[] = []
  for (let round = 0; round < rounds; round++) {
    const watcher = await PodWatcher.start(cluster)
    const before = performance.now()
    await apply(cluster, deployment)
    for await (const _ of setInterval(2)) {
      if (watcher.count('Running') >= BURST) break
      if (performance.now() - before > 120_000)
        throw new Error(`only ${watcher.count('Running')} of ${BURST} pods run after two minutes`)
    }
    samples.push((performance.now() - before) / 1000)
    if (round === rounds - 1) whileRunning = podWeight(cluster)
    await remove(cluster, deployment)
    await watcher.allGone(120_000)
    await watcher.stop()
  }
  return {
    figure: {
      name: `burst ${BURST}`,
      unit: 's',
      samples,
      floor,
      goal: { atMost: 1.5 * floor.value },
      note: 'apply → all Running on one node',
    },
    whileRunning,
  }
}

/** Memory of each shim, which is all that runs beside a pod's own processes. */
function podWeight(cluster: Cluster): Figure[] {
  const shims = cluster.processes('n1', 'conmon').map(({ pid }) => pss(pid))
  return [{ name: 'weight: beside each pod', unit: 'MB', samples: shims, goal: { atMost: 3 }, note: 'Pss of its shim' }]
}

/** Memory of the programs at rest. */
function weightFigures(cluster: Cluster): Figure[] {
  const of = (machine: string, text: string): number[] => cluster.processes(machine, text).map(({ pid }) => pss(pid))
  return [
    {
      name: 'weight: controller',
      unit: 'MB',
      samples: of('controller', 'gantry-controller.cjs'),
      goal: { atMost: 120 },
      note: 'Pss at rest',
    },
    { name: 'weight: its etcd', unit: 'MB', samples: of('controller', 'etcd ') },
    { name: 'weight: its NATS', unit: 'MB', samples: of('controller', 'nats-server ') },
    {
      name: 'weight: agent',
      unit: 'MB',
      samples: ['n1', 'n2', 'n3'].flatMap((node) => of(node, 'gantry-agent.cjs')),
      goal: { atMost: 90 },
      note: 'Pss at rest',
    },
  ]
}

/** Wall time of `gantry get pods`, beside Node.js that does nothing. */
async function cliFigures(cluster: Cluster, count: number): Promise<Figure[]> {
  const floor = await nodeStartFigure(count)
  const samples: number[] = []
  for (let number = 0; number < count; number++) {
    const began = performance.now()
    await cluster.rig.gantry(['get', 'pods'])
    samples.push(performance.now() - began)
  }
  const goal = { atMost: median(floor.samples) + 40 }
  return [floor, { name: 'gantry get pods', unit: 'ms', samples, floor: floorOf(floor), goal }]
}
