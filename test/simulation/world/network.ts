/**
 * The network between hosts: every packet takes its time, and none gets through between hosts that are cut off from
 * each other or have no power.
 */
import type { Random } from '../../../proto/base/random.ts'
import type { Host } from './process.ts'
import { between, type World } from './world.ts'

/** Milliseconds that a packet takes: most are fast, some are not. */
const FAST = { least: 0.1, most: 1.5 }
const SLOW = { least: 5, most: 60 }
const SLOW_SHARE = 0.03
/** Milliseconds until what could not be sent is sent again. */
const RESEND = { least: 50, most: 300 }

export class Network {
  readonly #world: World
  readonly #random: Random
  readonly #cuts = new Set<(from: Host, to: Host) => boolean>()
  readonly #watchers = new Set<() => void>()
  /** Milliseconds that each packet takes longer at most. */
  slowness = 0

  constructor(world: World) {
    this.#world = world
    this.#random = world.random('network')
  }

  /** Nothing gets through where `between` says so, until the call that this answers with. */
  cut(separates: (from: Host, to: Host) => boolean): () => void {
    this.#cuts.add(separates)
    this.changed()
    return () => {
      if (this.#cuts.delete(separates)) this.changed()
    }
  }

  /** Nothing gets to a host or away from it, until the call that this answers with. */
  isolate(host: Host): () => void {
    return this.cut((from, to) => from === host || to === host)
  }

  /** Tells who waits for it that hosts may reach each other no more, or again. */
  changed(): void {
    for (const call of [...this.#watchers]) call()
  }

  onChange(call: () => void): () => void {
    this.#watchers.add(call)
    return () => void this.#watchers.delete(call)
  }

  reaches(from: Host, to: Host): boolean {
    if (!from.up || !to.up) return false
    if (from === to) return true
    for (const separates of this.#cuts) if (separates(from, to)) return false
    return true
  }

  /** Milliseconds for one packet. */
  latency(from: Host, to: Host): number {
    if (from === to) return between(this.#random, 0.01, 0.1)
    const { least, most } = this.#random.next() < SLOW_SHARE ? SLOW : FAST
    return between(this.#random, least, most) + this.slowness * this.#random.next()
  }

  /** One packet; lost if the hosts do not reach each other when it is sent or when it arrives. */
  send(from: Host, to: Host, label: string, arrive: () => void): void {
    if (!this.reaches(from, to)) return
    const boots = to.boots
    this.#world.after(this.latency(from, to), label, () => {
      if (this.reaches(from, to) && to.boots === boots) arrive()
    })
  }

  /** A stream of packets that arrive in order or not at all: what is lost on the way is sent again. */
  pipe<T>(from: Host, to: Host, label: string, arrive: (item: T) => void): Pipe<T> {
    return new Pipe({ network: this, world: this.#world, random: this.#random, from, to, label, arrive })
  }
}

interface PipeParts<T> {
  readonly network: Network
  readonly world: World
  readonly random: Random
  readonly from: Host
  readonly to: Host
  readonly label: string
  readonly arrive: (item: T) => void
}

export class Pipe<T> {
  readonly #parts: PipeParts<T>
  readonly #boots: readonly [number, number]
  #last = 0
  #stalled: T[] = []
  #closed = false

  constructor(parts: PipeParts<T>) {
    this.#parts = parts
    this.#boots = [parts.from.boots, parts.to.boots]
  }

  send(item: T): void {
    const { world, network, from, to, label } = this.#parts
    this.#last = Math.max(this.#last, world.time + network.latency(from, to))
    world.after(this.#last - world.time, label, () => this.#arrives(item))
  }

  /** What is on its way does not arrive. */
  close(): void {
    this.#closed = true
    this.#stalled = []
  }

  #arrives(item: T): void {
    if (this.#closed) return
    this.#stalled.push(item)
    if (this.#stalled.length === 1) this.#deliver()
  }

  #deliver(): void {
    const { world, network, random, from, to, label, arrive } = this.#parts
    if (this.#closed || from.boots !== this.#boots[0] || to.boots !== this.#boots[1]) return
    if (!network.reaches(from, to))
      return void world.after(between(random, RESEND.least, RESEND.most), `again ${label}`, () => this.#deliver())
    const first = this.#stalled[0]
    arrive(first!)
    this.#stalled.shift()
    if (this.#stalled.length > 0) world.after(0, label, () => this.#deliver())
  }
}
