/**
 * Hosts and the processes on them. Everything that comes into a process (a timer, an answer, a message) comes through
 * `enter`: into one that was killed nothing comes any more, so whatever it awaits never happens, as if it had ended at
 * that instant; for one that is paused it waits.
 */
import type { Clock } from '../../../proto/base/clock.ts'
import type { World } from './world.ts'

export class Host {
  readonly name: string
  readonly address: string
  readonly #world: World
  readonly #processes = new Set<Process>()
  /** Counts boots: what was begun before the last one has no effect any more. */
  #boots = 0
  #up = true
  /** Milliseconds by which its wall clock is wrong. */
  clockOffset = 0

  constructor(name: string, address: string, world: World) {
    this.name = name
    this.address = address
    this.#world = world
  }

  get up(): boolean {
    return this.#up
  }

  /** Milliseconds for which its processes are paused yet. */
  get pausedFor(): number {
    return Math.max(0, ...[...this.#processes].map((process) => process.pausedFor))
  }

  get boots(): number {
    return this.#boots
  }

  start(name: string): Process {
    const process = new Process(name, this, this.#world)
    this.#processes.add(process)
    process.onEnd(() => void this.#processes.delete(process))
    return process
  }

  /** Every process is gone, and nobody is told. */
  powerOff(): void {
    this.#up = false
    this.#boots++
    for (const process of [...this.#processes]) process.kill()
  }

  powerOn(): void {
    this.#up = true
  }
}

export class Process {
  readonly name: string
  readonly host: Host
  readonly world: World
  readonly clock: Clock
  readonly #ends: (() => void)[] = []
  #alive = true
  #pausedUntil = 0
  #pauses = 0
  #waiting: (() => void)[] = []

  constructor(name: string, host: Host, world: World) {
    this.name = name
    this.host = host
    this.world = world
    this.clock = {
      now: () => world.clock.now() + host.clockOffset,
      monotonic: () => world.time,
      after: (millis, call) => this.#after(millis, call),
    }
  }

  get alive(): boolean {
    return this.#alive
  }

  /** Milliseconds for which it is paused yet. */
  get pausedFor(): number {
    return Math.max(0, this.#pausedUntil - this.world.time)
  }

  /** Something comes into the process. */
  enter(call: () => void): void {
    if (!this.#alive) return
    if (this.#pauses > 0) this.#waiting.push(call)
    else call()
  }

  /** Calls when the process has ended, however it did. */
  onEnd(call: () => void): void {
    this.#ends.push(call)
  }

  /** It ends at once, as by SIGKILL. */
  kill(): void {
    if (!this.#alive) return
    this.#alive = false
    this.#waiting = []
    for (const call of this.#ends.splice(0)) call()
  }

  /** It does not run for so long, as one that was stopped or swapped out; what comes meanwhile waits. */
  pause(millis: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.world.time + millis)
    this.#pauses++
    this.world.after(millis, `resume ${this.name}`, () => {
      if (--this.#pauses > 0) return
      for (const call of this.#waiting.splice(0)) this.enter(call)
    })
  }

  #after(millis: number, call: () => void): ReturnType<Clock['after']> {
    let cancelled = false
    const timer = this.world.after(millis, `timer ${this.name}`, () =>
      this.enter(() => {
        if (!cancelled) call()
      }),
    )
    return {
      cancel: () => {
        cancelled = true
        timer.cancel()
      },
    }
  }
}
