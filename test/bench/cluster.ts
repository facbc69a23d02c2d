/** The figures of a running cluster: how fast a pod starts, how fast many do, what it weighs. */
import { setInterval } from 'node:timers/promises'
import { decodeResource } from '../../proto/codec/wire.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { Cluster } from '../e2e/cluster.ts'
import { eventually } from '../eventually.ts'
import { floorOf, median, sampleCount, type Effort, type Figure, type Floor } from './figures.ts'
import { pss } from './memory.ts'
import { nodeStartFigure } from './node-start.ts'
import { bareTimes, startGoal } from './runtime/runtime.ts'

/** Replicas that start at once on one node. */
const BURST = 100

const POD_PROGRAM = ['/bin/sh', '-c', 'trap "exit 0" TERM; sleep 1000000 & wait']

function pod(name: string, node?: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { bench: 'start' } },
    spec: {
      containers: [{ name: 'main', image: 'busybox', imagePullPolicy: 'IfNotPresent', command: POD_PROGRAM }],
      terminationGracePeriodSeconds: 1,
      ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
    },
  })
}

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

/** Pods of the namespace as a watcher sees them. */
class PodWatcher {
  readonly #waiting = new Map<string, (pod: Pod) => void>()
  readonly #leaving = new Map<string, () => void>()
  readonly #stop = new AbortController()
  readonly #pods = new Map<string, Pod>()
  #running: Promise<void> | undefined

  async start(cluster: Cluster): Promise<void> {
    let began: () => void = () => undefined
    const ready = new Promise<void>((resolve) => (began = resolve))
    this.#running = (async () => {
      for await (const { type, object } of cluster.connection
        .client('Resources')
        .watch({ apiVersion: 'v1', kind: 'Pod', namespace: 'default' }, { signal: this.#stop.signal })) {
        if (type === 'BOOKMARK' || object === undefined) {
          began()
          continue
        }
        const seen = decodeResource('Pod', object.raw)
        if (type === 'DELETED') {
          this.#pods.delete(seen.metadata.name)
          this.#leaving.get(seen.metadata.name)?.()
        } else this.#pods.set(seen.metadata.name, seen)
        if (seen.status.phase === 'Running') this.#waiting.get(seen.metadata.name)?.(seen)
      }
    })().catch((thrown: unknown) => {
      if (!this.#stop.signal.aborted) throw thrown
    })
    await ready
  }

  /** Resolves, at the moment that the watcher sees it, when the pod runs. */
  running(name: string): Promise<Pod> {
    return new Promise((resolve) => this.#waiting.set(name, resolve))
  }

  /** Resolves when the watcher sees that the pod is gone. */
  gone(name: string): Promise<void> {
    return new Promise((resolve) => this.#leaving.set(name, resolve))
  }

  count(phase: string): number {
    return [...this.#pods.values()].filter((seen) => seen.status.phase === phase).length
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }
}

/**
 * Milliseconds from the call of apply to Running as a watcher sees it, one pod after the other is gone, the image
 * present.
 */
async function startFigures(cluster: Cluster, count: number, floor: Floor): Promise<Figure[]> {
  const watcher = new PodWatcher()
  await watcher.start(cluster)
  const resources = cluster.connection.client('Resources')
  const samples: number[] = []
  const steps = new Map<string, number[]>()
  const nodes = ['n1', 'n2', 'n3']
  for (let number = -nodes.length; number < count; number++) {
    const name = `start-${number + nodes.length}`
    // The first pods go one to each node, so that each node has the image.
    const node = number < 0 ? nodes[number + nodes.length] : undefined
    const running = watcher.running(name)
    const began = performance.now()
    await resources.apply({
      ref: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name },
      configuration: pod(name, node),
      options: { fieldManager: 'bench' },
    })
    const seen = await running
    if (number >= 0) {
      samples.push(performance.now() - began)
      const timeline = seen.status.timeline ?? []
      const first = Date.parse(timeline[0]?.time ?? '')
      for (const { step, time } of timeline) steps.set(step, [...(steps.get(step) ?? []), Date.parse(time) - first])
    }
    const gone = watcher.gone(name)
    await resources.delete({ ref: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name } })
    await gone // its node has released it: the next one does not share the machine with its removal
  }
  await watcher.stop()
  await eventually(
    async () =>
      (await resources.list({ apiVersion: 'v1', kind: 'Pod', namespace: 'default', labelSelector: 'bench=start' }))
        .items.length === 0,
  )
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
  const resources = cluster.connection.client('Resources')
  const samples: number[] = []
  let whileRunning: Figure[] = []
  for (let round = 0; round < rounds; round++) {
    const watcher = new PodWatcher()
    await watcher.start(cluster)
    const before = performance.now()
    const configuration = JSON.stringify({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'burst', namespace: 'default' },
      spec: {
        replicas: BURST,
        selector: { matchLabels: { app: 'burst' } },
        template: {
          metadata: { labels: { app: 'burst' } },
          spec: {
            nodeSelector: { 'kubernetes.io/hostname': 'n1' },
            terminationGracePeriodSeconds: 1,
            containers: [{ name: 'main', image: 'busybox', imagePullPolicy: 'IfNotPresent', command: POD_PROGRAM }],
          },
        },
      },
    })
    await resources.apply({
      ref: { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'burst' },
      configuration,
      options: { fieldManager: 'bench' },
    })
    for await (const _ of setInterval(2)) {
      if (watcher.count('Running') >= BURST) break
      if (performance.now() - before > 120_000)
        throw new Error(`only ${watcher.count('Running')} of ${BURST} pods run after two minutes`)
    }
    samples.push((performance.now() - before) / 1000)
    if (round === rounds - 1) whileRunning = podWeight(cluster)
    await resources.delete({ ref: { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'burst' } })
    await eventually(
      async () =>
        (await resources.list({ apiVersion: 'v1', kind: 'Pod', namespace: 'default', labelSelector: 'app=burst' }))
          .items.length === 0,
      120_000,
    )
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
