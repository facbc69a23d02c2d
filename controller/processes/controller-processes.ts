/**
 * The processes of a controller that has several: one that may lead, and those that serve, which share the ports. The
 * first process holds the ports and hands connections on in turn (node:cluster), so that one of the others can be
 * replaced without a connection being refused.
 *
 *   first ──┬─▶ 0 leading   elections, scheduler, reconcilers
 *           ├─▶ 1 serving ┐
 *           └─▶ 2 serving ┴─ the shared ports
 *
 * A process has the lowest number that is free, and with it a name and an address of its own.
 */
import cluster, { type Worker } from 'node:cluster'
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay } from '../../proto/base/backoff.ts'
import { elapsed, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import { CombinedMetrics } from './combined-metrics.ts'
import type { Assignment, FromProcess, Role, ToProcess } from './contract.ts'
import { ASSIGNMENT } from './member-process.ts'

const RESTART = { first: 100, max: 10_000 }
/** Milliseconds of serving after which an end counts as the first again. */
const BACKOFF_RESET_MS = 30_000
/** So often in a row a process may end before it has served; then something is wrong that time does not mend. */
const ATTEMPTS = 5
/** Milliseconds from SIGTERM to SIGKILL. */
const TERMINATION_GRACE_MS = 10_000

export interface ControllerProcessesOptions {
  /** How many serve. */
  readonly serve: number
  /** What a process of a number is told. */
  readonly assign: (number: number, role: Role) => Assignment
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** A process from its start to its end. */
interface Running {
  readonly number: number
  readonly worker: Worker
  /** Resolves with true once it serves, with false if it ends before. */
  readonly ready: Promise<boolean>
  /** Why it ended. */
  readonly ended: Promise<string>
  /** It was told to end: a second SIGTERM would cut off what it still answers. */
  isStopping: boolean
}

/** There is a process in it, or one is on its way. */
interface Place {
  readonly role: Role
  current: Running
  /** Serves already, and is the current one when that has ended. */
  successor: Running | undefined
}

export class ControllerProcesses {
  readonly #options: ControllerProcessesOptions
  readonly #running = new Map<number, Running>()
  readonly #places: Place[] = []
  readonly #metrics: CombinedMetrics
  #stopping = false
  #replacing: Promise<void> = Promise.resolve()

  constructor(options: ControllerProcessesOptions) {
    this.#options = options
    this.#metrics = new CombinedMetrics(options.clock)
  }

  /**
   * Keeps them running until the signal is aborted; rejects with FailedPrecondition if one ends time and again before
   * it has served.
   */
  async run(signal: AbortSignal): Promise<void> {
    const group = new RunGroup(signal)
    const stop = (): void => {
      this.#stopping = true
      for (const running of this.#running.values()) this.#stop(running)
    }
    group.signal.addEventListener('abort', stop, { once: true })
    const roles: Role[] = ['leading', ...Array.from({ length: this.#options.serve }, (): Role => 'serving')]
    for (const role of roles) {
      const place: Place = { role, current: this.#start(role), successor: undefined }
      this.#places.push(place)
      group.add((ended) => this.#keep(place, ended))
    }
    if (signal.aborted) stop()
    try {
      await group.wait()
    } finally {
      await Promise.all([...this.#running.values()].map(({ ended }) => ended))
    }
  }

  /**
   * Replaces one after the other, each by one that serves before it ends. Where a successor does not come to serve, the
   * former goes on.
   */
  replaceAll(): Promise<void> {
    this.#replacing = this.#replacing.then(async () => {
      for (const place of this.#places) await this.#replace(place)
    })
    return this.#replacing
  }

  async #replace(place: Place): Promise<void> {
    if (this.#stopping) return
    const successor = this.#start(place.role)
    if (!(await successor.ready)) {
      const reason = await successor.ended
      return this.#options.logger.error(
        { role: place.role, reason },
        'a successor did not come to serve: nothing is replaced',
      )
    }
    const former = place.current
    place.successor = successor
    this.#stop(former)
    await former.ended
  }

  /** Starts another whenever the process in a place ends. */
  async #keep(place: Place, signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#options
    const { role } = place
    for (let [failures, unserved, begun] = [0, 0, clock.monotonic()]; ;) {
      const { ready, ended } = place.current
      const reason = await ended
      if (signal.aborted) return
      if (place.successor !== undefined) {
        this.#succeed(place)
        failures = unserved = 0
      } else {
        const served = await ready
        failures = served && clock.monotonic() - begun > BACKOFF_RESET_MS ? 1 : failures + 1
        unserved = served ? 0 : unserved + 1
        if (unserved >= ATTEMPTS)
          throw new GantryError('FailedPrecondition', `a ${role} process of the controller does not start: ${reason}`)
        const wait = backoffDelay(RESTART, failures, random)
        logger.error({ role, reason, waitMillis: Math.round(wait) }, 'a process ended, starting another')
        if (!(await elapsed(clock, wait, signal))) return
        // One that was to replace it may serve by now.
        if (place.successor === undefined) place.current = this.#start(role)
        else this.#succeed(place)
      }
      begun = clock.monotonic()
    }
  }

  #succeed(place: Place): void {
    place.current = place.successor!
    place.successor = undefined
  }

  #start(role: Role): Running {
    const { assign, logger } = this.#options
    let number = 0
    while (this.#running.has(number)) number++
    const worker = cluster.fork({ [ASSIGNMENT]: JSON.stringify(assign(number, role)) })
    let serves: (yes: boolean) => void
    const ready = new Promise<boolean>((resolve) => (serves = resolve))
    worker.on('message', (message: FromProcess) => {
      switch (message.say) {
        case 'ready':
          return serves(true)
        case 'metricsWanted':
          return void this.#tellMetrics(worker, message.id)
        case 'numbers':
          return this.#metrics.answered(number, message.id, message.numbers)
      }
    })
    const ended = new Promise<string>((resolve) => {
      worker.on('error', (error) => {
        // One that could not be started has no other end. A message or a signal that did not reach it is no end.
        if (worker.process.pid === undefined) resolve(error.message)
        else logger.warn({ role, number, err: error }, 'cannot reach a process of the controller')
      })
      worker.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`))
    }).then((reason) => {
      this.#running.delete(number)
      this.#metrics.gone(number)
      serves(false)
      return reason
    })
    const running: Running = { number, worker, ready, ended, isStopping: false }
    this.#running.set(number, running)
    logger.info({ role, number, process: worker.process.pid }, 'process of the controller started')
    return running
  }

  #stop(running: Running): void {
    if (running.isStopping) return
    running.isStopping = true
    const { worker, ended } = running
    worker.process.kill('SIGTERM')
    const timer = this.#options.clock.after(TERMINATION_GRACE_MS, () => worker.process.kill('SIGKILL'))
    void ended.finally(() => timer.cancel())
  }

  async #tellMetrics(worker: Worker, id: number): Promise<void> {
    const text = await this.#metrics.ask([...this.#running.keys()], (number, question) => {
      const asked = this.#running.get(number)?.worker
      if (asked?.isConnected() === true) tell(asked, { tell: 'numbersWanted', id: question })
      else this.#metrics.gone(number)
    })
    if (worker.isConnected()) tell(worker, { tell: 'metrics', id, text })
  }
}

function tell(worker: Worker, message: ToProcess): void {
  worker.send(message)
}
