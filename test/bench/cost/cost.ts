/**
 * Microseconds of the controller's main thread for a request, and which of its components take them. How much it is in
 * all is the kernel's count of a run without a profiler; a profile of another run says how it is shared out. Warm: once
 * requests of the kind have been asked for some seconds. Cold: the first hundred after a start. `npm run bench -- cost`
 * measures all, `cost/get` and its like one kind.
 */
import { join } from 'node:path'
import { ROOT } from '../root.ts'
import { median, type Effort, type Figure, type Share } from '../figures.ts'
import { BenchController } from '../kube/controller.ts'
import { BenchNodes } from '../kube/nodes.ts'
import { ComponentTable, type Samples } from './components.ts'
import { comeToRest, mainThreadTime, wholeTime } from './processor-time.ts'
import { Profiler } from './profiler.ts'
import type { RunningWorkload, Stage, Workload } from './workload.ts'
import { workloads } from './workloads.ts'

/** Of nodes that pods are bound to. */
const NODES = 10

interface Extent {
  /** Milliseconds for which requests are asked before they count as warm. */
  readonly warming: number
  readonly rounds: number
  readonly starts: number
}

const WHOLE: Extent = { warming: 3_000, rounds: 7, starts: 3 }
const QUICK: Extent = { warming: 1_500, rounds: 3, starts: 1 }
/** Rounds that are asked for before requests count as warm, at least: the compiler goes by numbers of calls. */
const WARM_ROUNDS = 5
/** Of a bare server, whose rounds differ less from each other. */
const FLOOR_ROUNDS = 3

export async function runCostBench(name: string, { quick }: Effort): Promise<Figure[]> {
  const extent = quick ? QUICK : WHOLE
  const table = new ComponentTable(join(ROOT, 'dist/gantry-controller-main.cjs'))
  const controller = await BenchController.start(['--inspect=127.0.0.1:0'])
  try {
    const nodes = await BenchNodes.join(controller, NODES)
    try {
      const stage = { controller, nodes }
      const figures: Figure[] = []
      const prepared = new Set<Workload['prepare']>()
      for (const workload of workloads[name]!) {
        if (!prepared.has(workload.prepare)) await workload.prepare(stage)
        prepared.add(workload.prepare)
        figures.push(...(await warmFigures(stage, workload, extent, table)))
        figures.push(await coldFigure(stage, workload, extent, table))
      }
      return figures
    } finally {
      await nodes.stop()
    }
  } finally {
    await controller.stop()
  }
}

/** The floor's figure, if there is one, and the controller's. */
async function warmFigures(stage: Stage, workload: Workload, extent: Extent, table: ComponentTable): Promise<Figure[]> {
  const { name, budget, counts } = workload
  const floor = await floorFigure(stage, workload, extent)
  const { pid } = stage.controller
  const running = await workload.begin(stage)
  try {
    await warm(running, counts.warm, extent.warming)
    const rounds: Cost[] = []
    for (let round = 0; round < extent.rounds; round++) rounds.push(await costOf(pid, running, counts.warm))
    const samples = rounds.map(({ main }) => main)
    const profile = await profiled(stage, running, counts.warm, table)
    return [
      ...(floor === undefined ? [] : [floor]),
      {
        name,
        unit: 'µs',
        samples,
        goal: { atMost: budget },
        ...(floor === undefined ? {} : { floor: { name: floor.name, value: median(floor.samples) } }),
        shares: sharesOf(profile, median(samples)),
        note: `all threads ${median(rounds.map(({ whole }) => whole)).toFixed(0)}`,
      },
    ]
  } finally {
    await running.stop()
  }
}

async function floorFigure(
  stage: Stage,
  { name, counts, beginFloor }: Workload,
  extent: Extent,
): Promise<Figure | undefined> {
  if (beginFloor === undefined) return undefined
  const running = await beginFloor(stage)
  try {
    await warm(running, counts.warm, extent.warming / 2)
    const samples: number[] = []
    for (let round = 0; round < FLOOR_ROUNDS; round++)
      samples.push((await costOf(running.pid, running, counts.warm)).main)
    return { name: `bare server: ${name}`, unit: 'µs', samples }
  } finally {
    await running.stop()
  }
}

async function coldFigure(stage: Stage, workload: Workload, extent: Extent, table: ComponentTable): Promise<Figure> {
  const { name, budget, counts } = workload
  const afterStart = async <T>(measure: (running: RunningWorkload) => Promise<T>): Promise<T> => {
    await stage.nodes.restart(stage.controller)
    const running = await workload.begin(stage)
    try {
      // What is measured against what is taken off is as cold as the first; the rest is warm.
      if (running.runBaseline !== undefined) await running.runBaseline(counts.warm)
      await comeToRest(stage.controller.pid)
      return await measure(running)
    } finally {
      await running.stop()
    }
  }
  const samples: number[] = []
  for (let start = 0; start < extent.starts; start++)
    samples.push(await afterStart(async (running) => (await costOf(stage.controller.pid, running, counts.cold)).main))
  const profile = await afterStart((running) => profiled(stage, running, counts.cold, table))
  return {
    name: `${name}, cold`,
    unit: 'µs',
    samples,
    goal: { atMost: budget },
    shares: sharesOf(profile, median(samples)),
    note: `the first ${counts.cold} after a start`,
  }
}

async function warm(running: RunningWorkload, count: number, millis: number): Promise<void> {
  const began = performance.now()
  for (let round = 0; round < WARM_ROUNDS || performance.now() - began < millis; round++) {
    await running.run(count)
    await running.runBaseline?.(count)
  }
}

interface Cost {
  /** Microseconds of one, of the main thread and of all threads. */
  readonly main: number
  readonly whole: number
}

async function costOf(pid: number, running: RunningWorkload, count: number): Promise<Cost> {
  let happened = 0
  const baseline = running.runBaseline?.bind(running)
  const off = baseline === undefined ? { main: 0, whole: 0 } : await spent(pid, () => baseline(count))
  const { main, whole } = await spent(pid, async () => void (happened = await running.run(count)))
  return { main: (main - off.main) / happened, whole: (whole - off.whole) / happened }
}

/** Microseconds that a program takes from rest to rest. */
async function spent(pid: number, work: () => Promise<void>): Promise<Cost> {
  await comeToRest(pid)
  const before = { main: mainThreadTime(pid), whole: wholeTime(pid) }
  await work()
  await comeToRest(pid)
  return { main: mainThreadTime(pid) - before.main, whole: wholeTime(pid) - before.whole }
}

/** Samples of a round, without those of what is taken off. */
async function profiled(
  { controller }: Stage,
  running: RunningWorkload,
  count: number,
  table: ComponentTable,
): Promise<Samples> {
  const profiler = await Profiler.connect(await controller.log())
  try {
    const samplesDuring = async (work: () => Promise<unknown>): Promise<Samples> => {
      const profile = await profiler.during(async () => {
        await work()
        await comeToRest(controller.pid)
      })
      return table.samples(profile)
    }
    const off = running.runBaseline === undefined ? new Map() : await samplesDuring(() => running.runBaseline!(count))
    const all = await samplesDuring(() => running.run(count))
    return new Map(
      [...all].map(([name, hits]) => [name, Math.max(0, hits - ((off.get(name) as number | undefined) ?? 0))]),
    )
  } finally {
    profiler.close()
  }
}

/** The whole, shared out as the samples are. */
function sharesOf(samples: Samples, whole: number): Share[] {
  const all = [...samples.values()].reduce((sum, hits) => sum + hits, 0)
  return [...samples]
    .map(([name, hits]) => ({ name, value: all === 0 ? 0 : (hits / all) * whole }))
    .sort((a, b) => b.value - a.value)
}
