/** CPU profiles of a program of Node.js that was started with --inspect, taken through its inspector. */
import { once } from 'node:events'
import { WebSocket } from 'ws'

/** Microseconds between two samples. */
const INTERVAL = 200

/** As V8 writes it: a tree of calls, and how many samples fell upon each. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
}

export interface ProfileNode {
  readonly id: number
  readonly callFrame: {
    readonly functionName: string
    /** Empty of native functions, and of those made from text. */
    readonly url: string
    /** From 0. */
    readonly lineNumber: number
  }
  readonly hitCount?: number
  readonly children?: readonly number[]
}

interface Answer {
  readonly id: number
  readonly result?: { readonly profile?: CpuProfile }
  readonly error?: { readonly message: string }
}

export class Profiler {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #count = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (text: Buffer) => {
      const answer = JSON.parse(text.toString()) as Answer
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
  }

  /** `log`: the program's standard error, where Node.js says at which address it listens. */
  static async connect(log: string): Promise<Profiler> {
    const address = /Debugger listening on (ws:\S+)/.exec(log)?.[1]
    if (address === undefined) throw new Error('the program has not been started with --inspect')
    // A profile of many calls is longer than a message usually may be.
    const socket = new WebSocket(address, { maxPayload: 0 })
    await once(socket, 'open')
    const profiler = new Profiler(socket)
    await profiler.#ask('Profiler.enable')
    await profiler.#ask('Profiler.setSamplingInterval', { interval: INTERVAL })
    return profiler
  }

  /** What the program does while `work` is under way. */
  async during(work: () => Promise<void>): Promise<CpuProfile> {
    await this.#ask('Profiler.start')
    await work()
    return (await this.#ask('Profiler.stop')).result!.profile!
  }

  close(): void {
    this.#socket.terminate()
  }

  async #ask(method: string, params: object = {}): Promise<Answer> {
    const id = ++this.#count
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve))
    this.#socket.send(JSON.stringify({ id, method, params }))
    const answer = await answered
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`)
    return answer
  }
}
