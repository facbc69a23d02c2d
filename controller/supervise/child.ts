/**
 * A program that runs as long as the controller does: started, awaited until it answers, started again when it ends,
 * stopped at the end.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { access, chmod, constants, mkdir } from 'node:fs/promises'
import { createServer, isIPv6 } from 'node:net'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay, type BackoffOptions } from '../../proto/base/backoff.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { endRecorded, RECORD_AND_EXEC } from './process-record.ts'

const RESTART: BackoffOptions = { first: 100, max: 10_000 }
/** Milliseconds of answering after which an end counts as the first again. */
const BACKOFF_RESET_MS = 30_000
/** Milliseconds between tries to reach it, until it must answer, and from SIGTERM to SIGKILL. */
const PROBE_INTERVAL_MS = 20
const READY_TIMEOUT_MS = 30_000
/**
 * Milliseconds of failing before it has answered once after which it is given up: something is wrong that time does not
 * mend.
 */
const START_TIMEOUT_MS = 20_000
/**
 * The same where another process has its port. Programs of an earlier controller are ended before the first try, so it
 * is a stranger's, and waiting longer helps nobody.
 */
const OCCUPIED_TIMEOUT_MS = 2_000
/** Milliseconds of waiting for other members after which that is told. */
const WAITING_LOG_DELAY_MS = 5_000
const TERMINATION_GRACE_MS = 10_000
/** Lines of its output kept for the message that it ended. */
const LAST_LINES = 10

export interface ListenAddress {
  /** An IP address of this machine. */
  readonly host: string
  readonly port: number
}

export interface ProgramSpec {
  /** As in messages: "etcd". */
  readonly name: string
  /** File name, looked for on PATH. */
  readonly command: string
  readonly args: readonly string[]
  /** The distribution's package with it. */
  readonly package: string
  /** Absolute, its working directory, closed to other users. */
  readonly dataDir: string
  /** Where it listens. */
  readonly listens: readonly ListenAddress[]
  /** One try to use it; throws while it does not answer. */
  readonly probe: (signal: AbortSignal) => Promise<void>
  /** It answers only when enough others of its kind do: while it runs, it is waited for without end. */
  readonly waitsForOthers?: boolean
  /** What a line of its output says went wrong, in a few words; undefined for one that says nothing of the kind. */
  readonly parseFailure?: (line: string) => string | undefined
}

export interface SuperviseOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** `ready` is left again when it ends; `stopped` is the end. */
export type ChildState =
  | { readonly state: 'starting' }
  | { readonly state: 'ready'; readonly pid: number }
  | { readonly state: 'waiting'; readonly reason: string }
  | { readonly state: 'stopped' }

/** One run of a program, from start to end. */
interface Run {
  /** Why it ended. */
  readonly reason: string
  /** Whether `restart` ended it. */
  readonly wanted: boolean
  /** Milliseconds since the first run after which it is given up if it has never answered. */
  readonly timeout: number
}

export class SupervisedChild {
  readonly #program: ProgramSpec
  readonly #options: SuperviseOptions
  readonly #waiting = new Set<(state: ChildState | GantryError) => void>()
  #state: ChildState = { state: 'starting' }
  #answered = false
  #endCurrent: ((reason: string) => void) | undefined
  #trouble: string | undefined
  #waitingTold = false
  #failure: GantryError | undefined

  constructor(program: ProgramSpec, options: SuperviseOptions) {
    this.#program = program
    this.#options = options
  }

  get state(): ChildState {
    return this.#state
  }

  /** Why it ended last, until it answers again. */
  get lastFailure(): string | undefined {
    return this.#trouble
  }

  /** Resolves once it answers; rejects when `run` has ended before. */
  ready(): Promise<void> {
    if (this.#state.state === 'ready') return Promise.resolve()
    return new Promise((resolve, reject) => {
      const told = (state: ChildState | GantryError): void => {
        if (state instanceof GantryError) reject(state)
        else if (state.state === 'ready') resolve()
        else if (state.state === 'stopped')
          reject(new GantryError('Cancelled', `${this.#program.name} was stopped before it answered`))
        else return
        this.#waiting.delete(told)
      }
      this.#waiting.add(told)
      if (this.#failure !== undefined) told(this.#failure)
      else told(this.#state)
    })
  }

  /** Kills the present run, if there is one; another follows at once. */
  restart(reason: string): void {
    this.#endCurrent?.(reason)
  }

  /**
   * Keeps it running until the signal is aborted, then stops it. FailedPrecondition if the program is not installed, or
   * has not answered once within about 20 s of tries (a last try that hangs is given 30 s), about 3 s where another
   * process has its port; once it has answered it is started again without end.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#options
    const { name } = this.#program
    try {
      const path = await this.#locate()
      const first = clock.monotonic()
      let failures = 0
      while (!signal.aborted) {
        this.#enter({ state: 'starting' })
        const begun = clock.monotonic()
        const { reason, wanted, timeout } = await this.#once(path, signal)
        if (signal.aborted) break
        this.#trouble = reason
        if (wanted) {
          logger.warn({ program: name, reason }, 'program was ended to start it anew')
          continue
        }
        if (!this.#answered && clock.monotonic() - first > timeout)
          throw new GantryError('FailedPrecondition', `${name} cannot be started: ${reason}`, {
            details: [
              { field: name, message: reason, remedy: `mend that, or name running servers with the setting ${name}` },
            ],
          })
        failures = clock.monotonic() - begun > BACKOFF_RESET_MS ? 1 : failures + 1
        const wait = backoffDelay(RESTART, failures, random)
        logger.error({ program: name, reason, waitMillis: Math.round(wait) }, 'program ended, starting it again')
        this.#enter({ state: 'waiting', reason })
        await delay(clock, wait, signal).catch((thrown: unknown) => {
          if (!signal.aborted) throw thrown
        })
      }
      this.#enter({ state: 'stopped' })
    } catch (thrown) {
      this.#failure = GantryError.from(thrown)
      for (const told of [...this.#waiting]) told(this.#failure)
      throw this.#failure
    }
  }

  /** One run of it, from start to end. */
  async #once(path: string, signal: AbortSignal): Promise<Run> {
    const { name, args, dataDir, parseFailure: complaint } = this.#program
    const { clock, logger } = this.#options
    const record = join(dataDir, `${name}.process`)
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    await chmod(dataDir, 0o700)
    const earlier = await endRecorded(record, clock)
    if (earlier !== undefined)
      logger.warn({ program: name, process: earlier.pid }, 'ended the program of an earlier run')
    for (const place of this.#program.listens) {
      // What answers there later must be this program and not a stranger, whose data would be taken for the cluster's.
      const hindrance = await bindFailure(place)
      if (hindrance !== undefined) return { ...hindrance, wanted: false }
    }
    // Its own session, so that a terminal's Ctrl-C reaches only the controller; SIGTERM from the kernel when the
    // controller dies.
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', 'sh', '-c', RECORD_AND_EXEC, record, path, ...args], {
      cwd: dataDir,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const lines: string[] = []
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        if (lines.length > LAST_LINES) lines.shift()
        logger.debug({ program: name, line }, 'program output')
      })
    }
    const over = new AbortController()
    const ended = ending(child).finally(() => over.abort())
    const stop = (): void => this.#stop(child, ended)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    const probed = this.#probe(child, AbortSignal.any([over.signal, signal]))
    let killed: string | undefined
    if (child.pid !== undefined) {
      this.#endCurrent = (reason) => {
        killed = reason
        child.kill('SIGKILL')
      }
    }
    const how = await ended
    this.#endCurrent = undefined
    await probed
    signal.removeEventListener('abort', stop)
    if (killed !== undefined) return { reason: killed, wanted: true, timeout: START_TIMEOUT_MS }
    const said =
      lines.map((line) => complaint?.(line)).findLast((words) => words !== undefined) ?? lines.join(' | ').slice(-2_000)
    return { reason: said === '' ? how : `${how}: ${said}`, wanted: false, timeout: START_TIMEOUT_MS }
  }

  /** Tries until it answers, then enters `ready`. Ends it if it never does. */
  async #probe(child: ChildProcess, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    const begun = clock.monotonic()
    this.#waitingTold = false
    for (;;) {
      try {
        await this.#program.probe(signal)
        if (signal.aborted) return
        logger.info(
          { program: this.#program.name, process: child.pid, millis: Math.round(clock.monotonic() - begun) },
          'program answers',
        )
        this.#answered = true
        this.#trouble = undefined
        return this.#enter({ state: 'ready', pid: child.pid! })
      } catch (thrown) {
        if (signal.aborted) return
        if (this.#program.waitsForOthers === true) this.#tellWaiting(clock.monotonic() - begun, thrown)
        else if (clock.monotonic() - begun > READY_TIMEOUT_MS) {
          logger.error(
            { program: this.#program.name, error: GantryError.from(thrown).message },
            'program does not answer, ending it',
          )
          child.kill('SIGKILL')
          return
        }
        await delay(clock, PROBE_INTERVAL_MS, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason
        })
      }
    }
  }

  /** Once a start: what the others are waited for is told by their absence. */
  #tellWaiting(millis: number, thrown: unknown): void {
    if (millis < WAITING_LOG_DELAY_MS || this.#waitingTold) return
    this.#waitingTold = true
    this.#options.logger.warn(
      {
        program: this.#program.name,
        error: GantryError.from(thrown).message,
        remedy: 'start the other members, and see that their ports are open between the machines',
      },
      'program waits for a majority of the members',
    )
  }

  #stop(child: ChildProcess, ended: Promise<string>): void {
    // A child that could not be started has no process, and Node.js then signals whatever number is in its place.
    if (child.pid === undefined) return
    child.kill('SIGTERM')
    const timer = this.#options.clock.after(TERMINATION_GRACE_MS, () => child.kill('SIGKILL'))
    void ended.finally(() => timer.cancel())
  }

  #enter(state: ChildState): void {
    this.#state = state
    for (const told of [...this.#waiting]) told(state)
  }

  async #locate(): Promise<string> {
    const { name, command } = this.#program
    // Debian keeps daemons in sbin, which is not on every PATH.
    const places = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'].filter(
      (place) => place !== '',
    )
    for (const place of places) {
      const path = join(place, command)
      const found = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (found) return path
    }
    throw new GantryError('FailedPrecondition', `${name} is not installed: no program ${command} on PATH`, {
      details: [
        {
          field: 'PATH',
          value: command,
          remedy: `install the package ${this.#program.package}, or name running servers with the setting ${name}`,
        },
      ],
    })
  }
}

/** Why nothing can listen there, undefined if it can. */
function bindFailure({ host, port }: ListenAddress): Promise<Pick<Run, 'reason' | 'timeout'> | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        resolve({ reason: `port ${port} on ${host} is used by another process`, timeout: OCCUPIED_TIMEOUT_MS })
      else if (error.code === 'EADDRNOTAVAIL')
        resolve({ reason: `this machine does not have the address ${host}`, timeout: START_TIMEOUT_MS })
      else reject(GantryError.from(error))
    })
    server.listen(port, host, () => server.close(() => resolve(undefined)))
  })
}

/** host:port, an IPv6 address in brackets. */
export function hostPortOf({ host, port }: ListenAddress): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

function ending(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(`cannot be started: ${error.message}`))
    child.on('close', (code, signal) => resolve(code === null ? `ended by ${signal}` : `exited with ${code}`))
  })
}
