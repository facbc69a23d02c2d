/**
 * The simulated world: one queue of events in the order of simulated time. Nothing in it happens by itself: an event is
 * taken from the queue, called, and every promise that follows from it settles before the next one is taken. All
 * chance comes from the seed, so the same seed gives the same events in the same order.
 */
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import { seededRandom, type Random } from '../../../proto/base/random.ts'
import { turnsTaken } from '../../turns.ts'
import { EventQueue } from './event-queue.ts'
import { Trace } from './trace.ts'

/** Milliseconds: no two different times are nearer to each other. A power of two, so that sums of them are exact. */
const TICK = 1 / 1024

/** When every simulation begins. */
const START = Date.UTC(2026, 0, 1, 12)

export class World {
  readonly trace: Trace
  readonly #seed: number
  readonly #queue = new EventQueue()
  #time = 0

  constructor(seed: number, trace = new Trace()) {
    this.#seed = seed
    this.trace = trace
  }

  /** Milliseconds since the beginning. */
  get time(): number {
    return this.#time
  }

  /** The world's own clock, which is never wrong: that of the store, the machines and whoever looks on. */
  readonly clock: Clock = {
    now: () => START + this.#time,
    monotonic: () => this.#time,
    after: (millis, call) => this.after(millis, 'clock', call),
  }

  /** Chance for one purpose: what others draw does not change what it gives. */
  random(purpose: string): Random {
    let hash = 2166136261
    for (const character of `${this.#seed}/${purpose}`) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619)
    return seededRandom(hash)
  }

  /** Calls once after `millis`. `label` is what the trace tells of it. */
  after(millis: number, label: string, call: () => void): Timer {
    if (millis <= 0) return this.#queue.push(this.#time, label, call)
    const due = Math.round((this.#time + millis) / TICK) * TICK
    // Time moves on whenever somebody waits, or who waits for the rest of a rounded time would wait for ever.
    return this.#queue.push(due > this.#time ? due : this.#time + TICK, label, call)
  }

  /** Takes the next event, if it is due before `until`, and lets everything happen that follows from it at once. */
  async step(until: number): Promise<boolean> {
    const event = this.#queue.next(until)
    if (event === undefined) {
      this.#time = Math.max(this.#time, until)
      return false
    }
    this.#time = event.at
    this.trace.note(event.at, event.label)
    event.call()
    await turnsTaken()
    return true
  }
}

/** A number between two others. */
export function between(random: Random, least: number, most: number): number {
  return least + random.next() * (most - least)
}

/** One of several; there must be one. */
export function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random.next() * from.length)]!
}
