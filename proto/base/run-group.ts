/** Background tasks that live and end together: the first to end, with or without an error, stops the others. */
import { setMaxListeners } from 'node:events'

export type Task = (signal: AbortSignal) => Promise<void>

export class RunGroup {
  readonly #controller = new AbortController()
  readonly #tasks = new Set<Promise<void>>()
  #error: { thrown: unknown } | undefined

  constructor(parent?: AbortSignal) {
    // Every task listens: many of them are no leak.
    setMaxListeners(0, this.signal)
    if (parent?.aborted === true) this.stop()
    else parent?.addEventListener('abort', () => this.stop(), { once: true, signal: this.signal })
  }

  /** Aborted when the group is to end. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Starts a task that is to run as long as the group; its end is the group's end. */
  add(task: Task): void {
    this.#start(task, true)
  }

  /** Starts a task that may end before the group does; only its failure ends the group. */
  spawn(task: Task): void {
    this.#start(task, false)
  }

  stop(): void {
    this.#controller.abort()
  }

  /** Resolves when every task has ended; rejects with the first error that was not merely the stop itself. */
  async wait(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks)
    if (this.#error !== undefined) throw this.#error.thrown
  }

  #start(task: Task, essential: boolean): void {
    const running = Promise.resolve()
      .then(() => task(this.signal))
      .then(
        () => {
          if (essential) this.stop()
        },
        (thrown: unknown) => {
          const stopped = this.signal.aborted && (thrown as Error | undefined)?.name === 'AbortError'
          if (!stopped) this.#error ??= { thrown }
          this.stop()
        },
      )
      .finally(() => this.#tasks.delete(running))
    this.#tasks.add(running)
  }
}
