/** Clients of a controller in processes of their own, which outlive one round of requests. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { BenchController } from './controller.ts'

export interface Round {
  /** Of each request. */
  readonly milliseconds: readonly number[]
  readonly seconds: number
}

/** Asks rounds of requests on connections that stay open. */
export class RoundLoad {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  }

  /** `task` as load.mjs takes it. */
  static async begin(controller: BenchController, task: object): Promise<RoundLoad> {
    const load = new RoundLoad(await controller.begin({ is: 'rounds', ...task }))
    await load.#line()
    return load
  }

  async run(count: number): Promise<Round> {
    this.#child.stdin!.write(`${count}\n`)
    return JSON.parse(await this.#line()) as Round
  }

  async stop(): Promise<void> {
    await end(this.#child)
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error('the load ended')
    return value
  }
}

/** Watches, each on a connection of its own. */
export class Watchers {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async begin(controller: BenchController, task: object): Promise<Watchers> {
    const child = await controller.begin({ is: 'idle', ...task })
    const [said] = (await Promise.race([once(child.stdout!, 'data'), once(child, 'close')])) as unknown[]
    if (!Buffer.isBuffer(said)) throw new Error('the watchers ended')
    return new Watchers(child)
  }

  async stop(): Promise<void> {
    await end(this.#child)
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const ended = once(child, 'close')
  child.stdin!.end()
  await ended
}
