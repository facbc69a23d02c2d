/**
 * What the node and its containers use: two looks at the kernel's counters, some time apart. Nothing is measured while
 * nobody asks; who asks again soon is answered from the look before.
 */
import { readFile } from 'node:fs/promises'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { ContainerUsage, NodeUsage, PodUsage, Usage } from '../../proto/gen/types.ts'
import type { MachineUse } from '../node/machine-cgroup.ts'
import { meminfoBytes } from '../node/machine.ts'
import type { RuntimeDriver } from '../runtime/contract.ts'
import type { StreamTarget } from './target.ts'

/** Milliseconds between two looks at least, and at most for the first to count. */
const MIN_SAMPLE_INTERVAL_MS = 500
const MAX_SAMPLE_INTERVAL_MS = 60_000
/**
 * The kernel counts processor time in hundredths of a second. https://man7.org/linux/man-pages/man5/proc_stat.5.html
 */
const TICK_NANOS = 10_000_000

interface Counter {
  readonly cpuNanos: number
  readonly memory: number
}

/** One look: counters of the machine, and of containers by their id. */
interface UsageSample {
  /** Monotonic milliseconds. */
  readonly at: number
  readonly machine: Counter
  readonly containers: ReadonlyMap<string, Counter>
}

export interface UsageParts {
  /** Every pod of the node. */
  readonly targets: () => readonly StreamTarget[]
  readonly runtime: Pick<RuntimeDriver, 'stats'>
  readonly clock: Clock
  /** Default: the machine's own /proc. */
  readonly proc?: string
  /** Counters of a machine that is only a part of what /proc tells of; undefined where there are none. */
  readonly machine?: (() => Promise<MachineUse | undefined>) | undefined
}

export class UsageMeter {
  readonly #parts: UsageParts
  #last: UsageSample | undefined
  #measuring: Promise<NodeUsage> | undefined

  constructor(parts: UsageParts) {
    this.#parts = parts
  }

  /** Those who ask at the same time share the answer. */
  measure(): Promise<NodeUsage> {
    return (this.#measuring ??= this.#measure().finally(() => (this.#measuring = undefined)))
  }

  async #measure(): Promise<NodeUsage> {
    const { clock } = this.#parts
    const age = this.#last === undefined ? Infinity : clock.monotonic() - this.#last.at
    const before = age <= MAX_SAMPLE_INTERVAL_MS ? this.#last! : await this.#sample()
    const elapsed = clock.monotonic() - before.at
    if (elapsed < MIN_SAMPLE_INTERVAL_MS) await delay(clock, MIN_SAMPLE_INTERVAL_MS - elapsed)
    const now = (this.#last = await this.#sample())
    const windowMillis = Math.max(1, now.at - before.at)
    const usage = (counter: Counter, earlier: Counter | undefined): Usage => ({
      // A container that is new since the look before has used all of it in the window.
      cpuNanosPerSecond: Math.round(Math.max(0, counter.cpuNanos - (earlier?.cpuNanos ?? 0)) / (windowMillis / 1000)),
      memoryBytes: counter.memory,
    })
    const pods = this.#parts.targets().map((target): PodUsage => ({
      uid: target.pod.metadata.uid,
      containers: target.allRunning.flatMap(({ name, id }): ContainerUsage[] => {
        const counter = now.containers.get(id)
        return counter === undefined ? [] : [{ name, usage: usage(counter, before.containers.get(id)) }]
      }),
    }))
    return {
      time: clock.now(),
      windowMillis: Math.round(windowMillis),
      machine: usage(now.machine, before.machine),
      pods,
    }
  }

  async #sample(): Promise<UsageSample> {
    const { targets, runtime, clock } = this.#parts
    const ids = targets().flatMap((target) => target.allRunning.map(({ id }) => id))
    const [machine, counters] = await Promise.all([this.#machine(), Promise.all(ids.map((id) => runtime.stats(id)))])
    const containers = new Map(
      ids.flatMap((id, index) => (counters[index] === undefined ? [] : [[id, counters[index]] as const])),
    )
    return { at: clock.monotonic(), machine, containers }
  }

  #machine(): Promise<Counter> {
    return readMachineUse(this.#parts.proc ?? '/proc', this.#parts.machine)
  }
}

/** Counters of the whole machine: its own, where it is a part of what /proc tells of. */
export async function readMachineUse(proc: string, machine: UsageParts['machine']): Promise<MachineUse> {
  const own = await machine?.()
  if (own !== undefined) return own
  const [stat, meminfo] = await Promise.all([readFile(`${proc}/stat`, 'utf8'), readFile(`${proc}/meminfo`, 'utf8')])
  return {
    cpuNanos: busyTicks(stat) * TICK_NANOS,
    memory: meminfoBytes(meminfo, 'MemTotal') - meminfoBytes(meminfo, 'MemAvailable'),
  }
}

/**
 * Ticks of all processors that were not idle: user, nice, system, irq, softirq and steal; time of guests is in user.
 */
export function busyTicks(stat: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '')
    .split(/ +/)
    .map(Number)
  return user + nice + system + irq + softirq + steal
}
