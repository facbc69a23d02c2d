/** The news on NATS: its parts over one connection. */
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { Informer } from '../informer/contract.ts'
import { ChangePublisher } from './change-publisher.ts'
import type { News } from './contract.ts'
import { NamedEvents } from './named-events.ts'
import { NatsClient } from './nats-client.ts'
import { EventReader } from './reader.ts'
import { EventRecorder } from './recorder.ts'

/** Milliseconds that events still waiting are given at the end. */
const FLUSH_TIMEOUT_MS = 1_000

export interface NatsNewsOptions {
  /** host:port of each server, and what they want to see. */
  readonly servers: readonly string[]
  readonly token: string | undefined
  /** How the connection is called in the servers' reports: the controller's name. */
  readonly name: string
  /** Servers that keep copies together; 1 if not given. */
  readonly copies: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export class NatsNews implements News {
  readonly recorder: EventRecorder
  readonly events: EventReader
  readonly named: NamedEvents
  readonly #connection: NatsClient
  readonly #options: NatsNewsOptions
  readonly #logger: Logger

  constructor(options: NatsNewsOptions) {
    this.#options = options
    this.#logger = options.logger.child({ component: 'events' })
    this.#connection = new NatsClient({ ...options, logger: this.#logger })
    const common = { ...options, connection: this.#connection, servers: options.copies, logger: this.#logger }
    this.recorder = new EventRecorder(common)
    this.events = new EventReader(common)
    this.named = new NamedEvents({ ...common, reader: this.events })
  }

  publishChanges(informer: Informer, signal: AbortSignal): Promise<void> {
    return new ChangePublisher(informer, this.#connection, this.#options.clock).run(signal)
  }

  /**
   * Runs `work` and tells what it has to tell, also what happens at its very end. The signal that it gets is aborted
   * when the news can be told no more.
   */
  async during(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const group = new RunGroup()
    group.add((signal) => this.#connection.run(signal))
    group.add((signal) => this.recorder.run(signal))
    try {
      await work(group.signal)
      if (!(await this.recorder.flush(FLUSH_TIMEOUT_MS)))
        this.#logger.warn({ waiting: this.recorder.waiting }, 'events are lost: NATS did not take them in time')
    } finally {
      group.stop()
      await group.wait()
    }
  }
}
