/** One direction of a connection in memory. What is sent arrives in order and whole, as over TCP, or never. */
import type { Clock, Timer } from '../../base/clock.ts'

/**
 * Asked of each frame as it is sent: the milliseconds until it arrives, or that it is lost. What is lost is sent again
 * as TCP does, and whatever was sent after it waits behind it: to lose one frame is to delay a direction by 200 ms or
 * more, and to lose all for a while is a partition, which the ends find out by their keepalive.
 */
export type Transit = (bytes: number) => number | 'lost'

/** Milliseconds until a lost frame is sent again; twice as many each further time. */
const RESEND = { first: 200, max: 2_000 }

export class Wire<F> {
  readonly #clock: Clock
  readonly #transit: Transit
  readonly #arrive: (frame: F) => void
  readonly #unsent: { readonly frame: F; readonly bytes: number }[] = []
  readonly #underway: { readonly frame: F; readonly due: number }[] = []
  /** An arrival is awaited, or being told. */
  #awaiting = false
  #arrival: Timer | undefined
  #resend: Timer | undefined
  #losses = 0
  #cut = false

  constructor(clock: Clock, transit: Transit, arrive: (frame: F) => void) {
    this.#clock = clock
    this.#transit = transit
    this.#arrive = arrive
  }

  send(frame: F, bytes: number): void {
    if (this.#cut) return
    this.#unsent.push({ frame, bytes })
    if (this.#resend === undefined) this.#transmit()
  }

  /** Nothing arrives any more, not even what is under way. */
  cut(): void {
    this.#cut = true
    this.#arrival?.cancel()
    this.#resend?.cancel()
    this.#unsent.length = this.#underway.length = 0
  }

  #transmit(): void {
    for (let next = this.#unsent[0]; next !== undefined; next = this.#unsent[0]) {
      const millis = this.#transit(next.bytes)
      if (millis === 'lost') {
        this.#resend = this.#clock.after(Math.min(RESEND.first * 2 ** this.#losses++, RESEND.max), () => {
          this.#resend = undefined
          this.#transmit()
        })
        return
      }
      this.#losses = 0
      this.#unsent.shift()
      const due = Math.max(this.#clock.monotonic() + millis, this.#underway.at(-1)?.due ?? 0)
      this.#underway.push({ frame: next.frame, due })
      if (!this.#awaiting) this.#await()
    }
  }

  /** What takes no time arrives in a later microtask, so that nobody is called from within his own call. */
  #await(): void {
    const next = this.#underway[0]
    this.#awaiting = next !== undefined
    if (next === undefined) return
    const millis = next.due - this.#clock.monotonic()
    if (millis <= 0) queueMicrotask(() => this.#arrived())
    else this.#arrival = this.#clock.after(millis, () => this.#arrived())
  }

  #arrived(): void {
    while (this.#underway.length > 0 && this.#underway[0]!.due <= this.#clock.monotonic())
      this.#arrive(this.#underway.shift()!.frame)
    this.#await()
  }
}
