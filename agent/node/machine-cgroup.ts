/**
 * A machine that shares its kernel with others, such as one of a rig: what it has and uses is what its control group
 * says, not what /proc tells of the whole host.
 */
import type { Cgroups } from '../runtime/oci/cgroups.ts'
import type { Machine } from './machine.ts'
import type { ResourceLevels } from './pressure.ts'

/** Counters of a whole machine. */
export interface MachineUse {
  readonly cpuNanos: number
  /** Bytes that the kernel cannot simply take back. */
  readonly memory: number
}

export class MachineCgroup {
  readonly #cgroups: Pick<Cgroups, 'stats' | 'limits'>
  readonly #path: string

  /** `path`: of the group that holds everything on the machine. */
  constructor(cgroups: Pick<Cgroups, 'stats' | 'limits'>, path: string) {
    this.#cgroups = cgroups
    this.#path = path
  }

  /** Undefined if there is no such group. */
  use(): Promise<MachineUse | undefined> {
    return this.#cgroups.stats(this.#path)
  }

  /** The machine with no more than the group may have. */
  async machine(host: Machine): Promise<Machine> {
    const { memory, cpus } = await this.#cgroups.limits(this.#path)
    return { ...host, memory: Math.min(host.memory, memory ?? Infinity), cpus: Math.min(host.cpus, cpus ?? Infinity) }
  }

  /** The levels within the group. What the whole host runs out of, the machine does, too. */
  async levels(host: ResourceLevels): Promise<ResourceLevels> {
    const [{ memory, processes }, use] = await Promise.all([
      this.#cgroups.limits(this.#path),
      this.#cgroups.stats(this.#path),
    ])
    if (use === undefined) return host
    return {
      ...host,
      memoryAvailable:
        memory === undefined ? host.memoryAvailable : Math.min(host.memoryAvailable, Math.max(0, memory - use.memory)),
      ...(processes === undefined || processes > host.processLimit
        ? {}
        : { processes: use.processes, processLimit: processes }),
    }
  }
}
