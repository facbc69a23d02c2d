/**
 * Reads YAML beside the thread that everybody waits for. A text of a few lines is read at once. Others go to a thread
 * of their own, one at a time and in turn by user: who sends many waits for himself. A text that takes too long ends
 * that thread, and the next text gets a new one.
 */
import type { Worker } from 'node:worker_threads'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import { startThread } from '../../../proto/base/thread.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'
import { RoundRobin } from '../../requests/fairness/round-robin.ts'
import { HttpError } from '../status.ts'
import type { YamlReply, YamlRequest } from './messages.ts'
import { parseYaml, YAML_LIMIT, type ParsedYaml } from './parse.ts'

/** Characters of a text that is read at once, unless it has aliases, of which few mean much. */
const INLINE_PARSE_LIMIT = 1_024
/** Milliseconds that a text may take, and that the thread waits for the next one before it ends. */
export const READ_DEADLINE = 10_000
const IDLE = 60_000
/** Megabytes of objects in the thread. */
const MEMORY = 256

interface Waiting {
  readonly text: string
  readonly resolve: (read: ParsedYaml) => void
  readonly reject: (error: GantryError) => void
}

export class YamlReader {
  readonly #clock: Clock
  readonly #waiting = new RoundRobin<Waiting>()
  #reading: Waiting | undefined
  #thread: Worker | undefined
  #timer: Timer | undefined
  #stopped = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * HttpError: 400 for what is no YAML, 413 for what is too large or takes too long. Unavailable once it is stopped.
   */
  async read(text: string, user: string): Promise<ParsedYaml> {
    // Told at once: it is not to wait for its turn.
    if ((text.length <= INLINE_PARSE_LIMIT && !text.includes('*')) || text.length > YAML_LIMIT) return parseYaml(text)
    if (this.#stopped) throw stopping()
    return new Promise((resolve, reject) => {
      this.#waiting.push(user, { text, resolve, reject })
      this.#next()
    })
  }

  /** The thread is gone; who still waits is told so. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (let waiting = this.#waiting.shift(); waiting !== undefined; waiting = this.#waiting.shift())
      waiting.reject(stopping())
    this.#done((reading) => reading.reject(stopping()))
    await this.#end()
  }

  #next(): void {
    if (this.#reading !== undefined) return
    this.#timer?.cancel()
    this.#reading = this.#waiting.shift()
    if (this.#reading === undefined) {
      if (this.#thread !== undefined) this.#timer = this.#clock.after(IDLE, () => void this.#end())
      return
    }
    this.#thread ??= this.#start()
    this.#thread.postMessage({ text: this.#reading.text } satisfies YamlRequest)
    this.#timer = this.#clock.after(READ_DEADLINE, () => {
      void this.#end()
      this.#done(({ reject }) =>
        reject(tooLong(`the body takes longer than ${READ_DEADLINE / 1000} s to be read as YAML`)),
      )
    })
  }

  #start(): Worker {
    const thread = startThread(
      { folder: import.meta.dirname, source: 'main.ts', bundle: 'gantry-yaml.cjs' },
      { resourceLimits: { maxOldGenerationSizeMb: MEMORY } },
    )
    thread.unref()
    thread.on('message', (reply: YamlReply) => this.#done((reading) => settle(reading, reply)))
    thread.on('error', (cause) => this.#lost(thread, cause))
    thread.on('exit', () => this.#lost(thread))
    return thread
  }

  /** It ended by itself: for want of memory, as far as a text can bring that about. */
  #lost(thread: Worker, cause?: unknown): void {
    if (this.#thread !== thread) return
    this.#thread = undefined
    this.#done(({ reject }) => reject(tooLong('the body takes too much memory to be read as YAML', cause)))
  }

  #done(answer: (reading: Waiting) => void): void {
    const reading = this.#reading
    if (reading === undefined) return
    this.#reading = undefined
    answer(reading)
    this.#next()
  }

  async #end(): Promise<void> {
    const thread = this.#thread
    this.#thread = undefined
    this.#timer?.cancel()
    await thread?.terminate()
  }
}

function settle({ resolve, reject }: Waiting, reply: YamlReply): void {
  if (reply.is === 'refused') return reject(new HttpError(reply.status, reply.reason, reply.message, reply.code))
  resolve({ value: JSON.parse(reply.json) as JsonValue, problems: reply.problems })
}

function tooLong(message: string, cause?: unknown): HttpError {
  return new HttpError(413, 'RequestEntityTooLarge', `${message}: send it as JSON`, 'ResourceExhausted', cause)
}

function stopping(): GantryError {
  return new GantryError('Unavailable', 'the server is stopping')
}
