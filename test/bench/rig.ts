/**
 * The figures of rigs: how fast one comes and goes, what a node weighs, how fast the pods of a node that is killed run
 * elsewhere.
 */
import { setInterval } from 'node:timers/promises'
import { Rig } from '../../deploy/rig/rig.ts'
import type { DriverName } from '../../deploy/rig/contract.ts'
import { removeRig } from '../../deploy/rig/removal.ts'
import { rigStatus } from '../../deploy/rig/status.ts'
import { watchWithRetry } from '../../proto/client/follow.ts'
import { systemClock } from '../../proto/base/clock.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { useDockerEngine } from '../docker-engine.ts'
import { rigName } from '../e2e/cluster.ts'
import { sampleCount, type Effort, type Figure, type Goal } from './figures.ts'

interface Size {
  readonly nodes: number
  readonly controllers: number
  readonly rounds: number
  /** Of coming up, and of going. */
  readonly goals: { readonly up: Goal; readonly down?: Goal }
}

const SIZES: readonly Size[] = [
  { nodes: 5, controllers: 1, rounds: 5, goals: { up: { atMost: 3 }, down: { atMost: 1 } } },
  { nodes: 5, controllers: 3, rounds: 3, goals: { up: { atMost: 5 }, down: { atMost: 1 } } },
  { nodes: 20, controllers: 1, rounds: 2, goals: { up: { atMost: 10 } } },
]
/** Nodes killed, one after the other is back. */
const KILLS = 20
const REPLICAS = 2
const NAME = rigName('bench-rig')

/** Machines of namespaces, then of containers, on the engine that is there or one of their own. */
export async function rigFigures(effort: Effort): Promise<Figure[]> {
  const figures = await driverFigures('namespaces', effort)
  if (effort.quick) return figures
  const end = await useDockerEngine()
  try {
    return [...figures, ...(await driverFigures('docker', effort))]
  } finally {
    await end()
  }
}

async function driverFigures(driver: DriverName, effort: Effort): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const size of SIZES)
    figures.push(...(await sizeFigures(driver, { ...size, rounds: sampleCount(effort, size.rounds) })))
  figures.push(...(await replacementFigures(driver, sampleCount(effort, KILLS))))
  return figures.map((figure) => ({ ...figure, name: `${driver}: ${figure.name}` }))
}

async function sizeFigures(driver: DriverName, { nodes, controllers, rounds, goals }: Size): Promise<Figure[]> {
  const seconds: Record<'up' | 'down', number[]> = { up: [], down: [] }
  const weights: number[] = []
  for (let round = 0; round <= rounds; round++) {
    await removeRig(NAME)
    const began = performance.now()
    const rig = await Rig.up({ name: NAME, driver, nodes, controllers, demo: false })
    const up = performance.now()
    if (round === rounds) weights.push(...(await nodeWeights(rig)))
    const ending = performance.now()
    await rig.down()
    if (round === 0) continue // it warms the disk's cache
    seconds.up.push((up - began) / 1000)
    seconds.down.push((performance.now() - ending) / 1000)
  }
  const words = `${nodes} nodes, ${controllers} controller${controllers === 1 ? '' : 's'}`
  return [
    { name: `up ${words}`, unit: 's', samples: seconds.up, goal: goals.up, note: 'to all Ready' },
    {
      name: `down ${words}`,
      unit: 's',
      samples: seconds.down,
      ...(goals.down === undefined ? {} : { goal: goals.down }),
    },
    { name: `weight of a node of ${nodes}`, unit: 'MB', samples: weights, note: 'Pss of all on its machine' },
  ]
}

async function nodeWeights(rig: Rig): Promise<number[]> {
  const { machines } = await rigStatus(await rig.refresh(), rig.driver, new AbortController().signal)
  return machines.filter(({ role }) => role === 'node').map(({ memoryBytes = 0 }) => memoryBytes / 2 ** 20)
}

/** Seconds from the kill of a node's machine to its pods' replacements Running, as a watcher sees it. */
async function replacementFigures(driver: DriverName, kills: number): Promise<Figure[]> {
  await removeRig(NAME)
  await using rig = await Rig.up({ name: NAME, driver, nodes: 4 })
  const labels = { app: 'moved' }
  await rig.apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'moved' },
    spec: {
      replicas: REPLICAS,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            { name: 'main', image: 'busybox', imagePullPolicy: 'IfNotPresent', command: ['sleep', '1000000'] },
          ],
        },
      },
    },
  })
  await rig.until('deployment/moved', 'Ready')
  const pods = new PodView(rig)
  const samples: number[] = []
  try {
    for (let kill = 0; kill < kills; kill++) {
      const node = await pods.settled()
      const before = pods.running()
      const began = performance.now()
      const fault = await rig.node(node).kill()
      await pods.replaced(before, node)
      samples.push((performance.now() - began) / 1000)
      await fault.heal()
      await rig.until(`node/${node}`, 'Ready')
    }
  } finally {
    await pods.close()
  }
  return [
    { name: 'node killed → replacement Running', unit: 's', samples, goal: { p99: 10 }, note: 'as a watcher sees it' },
  ]
}

/** The deployment's pods as a watcher sees them. */
class PodView {
  readonly #pods = new Map<string, Pod>()
  readonly #end = new AbortController()
  readonly #following: Promise<void>

  constructor(rig: Rig) {
    this.#following = this.#follow(rig)
  }

  async #follow(rig: Rig): Promise<void> {
    try {
      for await (const change of watchWithRetry(
        rig.client,
        systemClock,
        'Pod',
        { namespace: 'default', labelSelector: 'app=moved' },
        '',
        this.#end.signal,
      )) {
        if (change.type === 'ADDED' || change.type === 'MODIFIED')
          this.#pods.set(change.object.metadata.uid, change.object)
        else if (change.type === 'DELETED') this.#pods.delete(change.object.metadata.uid)
        else if (change.type === 'RESTARTED') this.#pods.clear()
      }
    } catch (thrown) {
      if (!this.#end.signal.aborted) throw thrown
    }
  }

  /** Uids of those that run and are to go on. */
  running(): Set<string> {
    return new Set(this.#live().map(({ metadata }) => metadata.uid))
  }

  #live(): Pod[] {
    return [...this.#pods.values()].filter(
      ({ metadata, status }) => metadata.deletionTimestamp === undefined && status.phase === 'Running',
    )
  }

  /** When all replicas run and none is going: the node of one. */
  async settled(): Promise<string> {
    await holds(() => this.#live().length === REPLICAS && this.#pods.size === REPLICAS)
    return this.#live()[0]!.spec.nodeName!
  }

  /** When as many run that are not on the node, new ones among them. */
  async replaced(before: ReadonlySet<string>, node: string): Promise<void> {
    await holds(() => {
      const elsewhere = this.#live().filter(({ spec }) => spec.nodeName !== node)
      return elsewhere.length === REPLICAS && elsewhere.some(({ metadata }) => !before.has(metadata.uid))
    })
  }

  async close(): Promise<void> {
    this.#end.abort()
    await this.#following
  }
}

async function holds(condition: () => boolean): Promise<void> {
  const began = performance.now()
  for await (const _ of setInterval(2)) {
    if (condition()) return
    if (performance.now() - began > 60_000) throw new Error('the pods did not come to be as expected within a minute')
  }
}
