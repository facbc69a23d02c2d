/** What a container costs on this machine: the driver beside the bare loop of conmon, create and start. */
import { fileURLToPath } from 'node:url'
import { Cgroups } from '../../../agent/runtime/oci/cgroups.ts'
import type { RuntimeName } from '../../../agent/runtime/oci/runtime-program.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { run } from '../../../proto/base/command.ts'
import { floorOf, median, sampleCount, type Effort, type Figure, type Floor } from '../figures.ts'

/** Containers one after the other, and at once. */
export interface Counts {
  readonly single: number
  readonly burst: number
}

/** Milliseconds of each step, and of all that were made at once; `burst` is empty without any. */
export type Times<Step extends string> = Readonly<Record<Step | 'whole' | 'burst', readonly number[]>>
export type BareTimes = Times<'create' | 'start'>
export type DriverTimes = Times<'sandbox' | 'create' | 'start' | 'remove'>

const PROGRAM = fileURLToPath(new URL('program.ts', import.meta.url))

/**
 * Runs a loop as a node of the rig has it, in a process of its own: where crun would refuse the hybrid of control
 * groups, in a mount namespace without its version 2 tree.
 */
async function timesOf<T>(loop: 'bare' | 'driver', runtime: RuntimeName, counts: Counts): Promise<T> {
  const { layout } = await Cgroups.detect(systemClock)
  const unified = layout.version === 1 ? layout.unified : undefined
  const program = [process.execPath, '--import', 'tsx', PROGRAM, loop, runtime, JSON.stringify(counts)]
  const hidden = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--',
    'sh',
    '-c',
    'umount "$1" && shift && exec "$@"',
  ]
  const [name, ...args] = unified === undefined ? program : [...hidden, 'sh', unified, ...program]
  return JSON.parse((await run(name!, args, { timeout: 300_000 })).stdout) as T
}

/** The floor: configurations of pods' containers in namespaces of their own, no records, no sandbox. */
export function bareTimes(runtime: RuntimeName, counts: Counts): Promise<BareTimes> {
  return timesOf('bare', runtime, counts)
}

export async function runtimeFigures(effort: Effort): Promise<Figure[]> {
  const counts: Counts = { single: sampleCount(effort, 20), burst: 100 }
  const figures: Figure[] = []
  for (const runtime of effort.quick ? (['crun'] as const) : (['crun', 'runc'] as const)) {
    const bare = await bareTimes(runtime, counts)
    figures.push(...pairFigures(runtime, counts, bare, await timesOf<DriverTimes>('driver', runtime, counts)))
  }
  return figures
}

function pairFigures(runtime: RuntimeName, { burst }: Counts, bare: BareTimes, driver: DriverTimes): Figure[] {
  const figure = (name: string, samples: readonly number[], more: Partial<Figure> = {}): Figure => ({
    name: `${runtime} ${name}`,
    unit: 'ms',
    samples,
    ...more,
  })
  const floors = {
    create: figure('bare conmon + create', bare.create),
    start: figure('bare start', bare.start),
    whole: figure('bare conmon + create + start', bare.whole),
    burst: figure(`bare ${burst} at once`, bare.burst),
  }
  return [
    ...Object.values(floors),
    figure('driver sandbox', driver.sandbox),
    figure('driver create', driver.create, { floor: floorOf(floors.create) }),
    figure('driver start', driver.start, { floor: floorOf(floors.start) }),
    figure('driver whole', driver.whole, { floor: floorOf(floors.whole), goal: startGoal(floorOf(floors.whole)) }),
    figure('driver remove', driver.remove),
    figure(`driver ${burst} pods at once`, driver.burst, {
      floor: floorOf(floors.burst),
      goal: { atMost: 1.5 * median(bare.burst) },
    }),
  ]
}

/** Of one pod's start, held against the bare loop. */
export function startGoal({ value }: Floor): { readonly atMost: number; readonly p99: number } {
  return { atMost: 2 * value, p99: 3 * value }
}
