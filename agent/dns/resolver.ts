/**
 * The resolver in a thread of its own, as the agent's main thread holds it: nothing that the agent does delays an
 * answer.
 */
import type { Worker } from 'node:worker_threads'
import { GantryError, type ErrorCode } from '../../proto/base/errors.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { startThread } from '../../proto/base/thread.ts'
import type { ListenAddress } from './listeners.ts'
import type {
  ResolverCall,
  ResolverReply,
  ResolverRequest,
  ResolverSettings,
  ResolverStats,
} from './worker-messages.ts'

/** Megabytes of objects: beyond that the thread ends and is begun anew, and the agent lives. */
const MAX_HEAP_MB = 512

export interface ResolverOptions {
  readonly settings: ResolverSettings
  readonly logger: Logger
  /** The thread has ended although nobody stopped it. */
  readonly ended?: (cause: GantryError) => void
}

export class Resolver {
  readonly #worker: Worker
  readonly #logger: Logger
  readonly #pending = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: GantryError) => void }
  >()
  #number = 0
  #stopping = false
  #ended: GantryError | undefined

  constructor({ settings, logger, ended }: ResolverOptions) {
    this.#logger = logger
    const code = { folder: import.meta.dirname, source: 'main.ts', bundle: 'gantry-resolver.cjs' }
    this.#worker = startThread(code, { workerData: settings, resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB } })
    this.#worker.on('message', (reply: ResolverReply) => this.#heard(reply))
    let cause: Error | undefined
    this.#worker.on('error', (error) => (cause = error))
    this.#worker.on('exit', (code) => {
      const error = new GantryError(
        'Unavailable',
        this.#stopping
          ? 'the resolver is stopped'
          : `the resolver's thread ended with ${code}${cause === undefined ? '' : `: ${cause.message}`}`,
        { cause },
      )
      this.#ended = error
      for (const { reject } of this.#pending.values()) reject(error)
      this.#pending.clear()
      if (!this.#stopping) ended?.(error)
    })
  }

  /** The ports listened at, in order. FailedPrecondition: one cannot be. */
  async listen(endpoints: readonly ListenAddress[]): Promise<number[]> {
    return (await this.#call({ kind: 'listen', endpoints })) as number[]
  }

  /** Resolves when what was told is answered (with `commit`), or at least taken. */
  async zone(change: Omit<Extract<ResolverCall, { kind: 'zone' }>, 'kind'>): Promise<void> {
    await this.#call({ kind: 'zone', ...change })
  }

  async stats(): Promise<ResolverStats> {
    return (await this.#call({ kind: 'stats' })) as ResolverStats
  }

  /** Nothing is listened at any more; the thread is gone. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#ended === undefined)
      await this.#call({ kind: 'stop' }).catch((thrown: unknown) =>
        this.#logger.warn({ err: GantryError.from(thrown) }, 'the resolver did not stop in order'),
      )
    await this.#worker.terminate()
  }

  #call(call: ResolverCall): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const request: ResolverRequest = { number: this.#number++, call }
    return new Promise((resolve, reject) => {
      this.#pending.set(request.number, { resolve, reject })
      this.#worker.postMessage(request)
    })
  }

  #heard(reply: ResolverReply): void {
    switch (reply.kind) {
      case 'done':
        this.#pending.get(reply.number)?.resolve(reply.value)
        return void this.#pending.delete(reply.number)
      case 'failed':
        this.#pending.get(reply.number)?.reject(new GantryError(reply.code as ErrorCode, reply.message))
        return void this.#pending.delete(reply.number)
      case 'log':
        return this.#logger[reply.level](reply.fields, reply.message)
      default:
        reply satisfies never
    }
  }
}
