/** Requests of one kind, asked in rounds: the contract between what is asked for and what measures it. */
import type { BenchController } from '../kube/controller.ts'
import type { BenchNodes } from '../kube/nodes.ts'

export interface Stage {
  readonly controller: BenchController
  readonly nodes: BenchNodes
}

export interface Workload {
  readonly name: string
  /** Microseconds of the main thread that one may cost. */
  readonly budget: number
  /** How many make a round, of a warm controller and of one that has just been started. */
  readonly counts: { readonly warm: number; readonly cold: number }
  /** Makes what is needed; called once, also for several kinds that have it in common. */
  prepare(stage: Stage): Promise<void>
  /** Connects; costs of that are not counted. */
  begin(stage: Stage): Promise<RunningWorkload>
  /** The same of a bare server: begins it and says which process to look at. */
  beginFloor?(stage: Stage): Promise<RunningWorkload & { readonly pid: number }>
}

export interface RunningWorkload {
  /**
   * Asks for so many, and waits for what follows from them. Returns how many things happened of which the cost is
   * wanted: as many, unless what is asked for is only the occasion.
   */
  run(count: number): Promise<number>
  /** The occasion alone, so many times: what it costs is taken off. */
  runBaseline?(count: number): Promise<void>
  stop(): Promise<void>
}
