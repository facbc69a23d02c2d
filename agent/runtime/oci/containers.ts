/** The containers of a node: their records, their exits, and what is done to them. One verb at a time for each. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { Run } from '../../host/launcher.ts'
import type { ContainerRecord, ContainerState } from '../contract.ts'
import type { Cgroups } from './cgroups.ts'
import type { OciConfig, OciProcess } from './config.ts'
import type { Conmon, Supervised } from './conmon.ts'
import type { ExitFile, ExitWatch } from './exit-watch.ts'
import { KeyedLock, Semaphore } from '../../../proto/base/semaphore.ts'
import { isAlive, signalProcess, type ProcessIdentity } from '../../../proto/base/process.ts'
import { containerRecord, loadRecord, removeDirectory, saveRecord, type ContainerEntry, type Phase } from './records.ts'
import { startByFifo } from './start-fifo.ts'
import { lastLogged, logTo, startError } from './start-failure.ts'
import { resizeTerminal, type TerminalSize } from './terminal.ts'

export interface ContainersOptions {
  /** One directory a container: record and bundle. */
  readonly directory: string
  readonly runtime: string
  /** Before the verb: where the runtime keeps its own state. */
  readonly runtimeArgs: readonly string[]
  /** What the runtime is to find in its environment. */
  readonly runtimeEnv: Readonly<Record<string, string>>
  /** Where the runtime waits to be told to start a container; undefined: it is told by its `start` alone. */
  readonly startFifo: ((id: string) => string) | undefined
  readonly run: Run
  readonly conmon: Conmon
  readonly exits: ExitWatch
  readonly cgroups: Cgroups
  /** Told of each end that was taken down. */
  readonly ended: (container: ContainerRecord) => void
  readonly clock: Clock
  readonly logger: Logger
}

export interface NewContainer {
  readonly id: string
  readonly sandboxId: string
  readonly internal: boolean
  readonly cgroup: string
  readonly config: OciConfig
  readonly logPath: string
  readonly stdin: boolean
  readonly stdinOnce: boolean
}

/** Of a container whose end nobody saw: after a reboot, or its conmon was killed. As other runtimes report it. */
const UNKNOWN_EXIT = 255
const SIGKILL = 9
/** Milliseconds from SIGKILL to the exit file; a process in an uninterruptible wait may take long. */
const KILL_DEADLINE = 10_000
/** Milliseconds between looks whether conmon has died with its container. */
const KILL_CHECK = 100

export class Containers {
  readonly #options: ContainersOptions
  readonly #entries = new Map<string, ContainerEntry>()
  readonly #locks = new KeyedLock()
  /** More calls of the runtime at once only get into each other's way. */
  readonly #slots = new Semaphore(4 * availableParallelism())
  readonly #awaiting = new Map<string, Set<() => void>>()

  constructor(options: ContainersOptions) {
    this.#options = options
  }

  /** Adopts what lives on, learns what ended meanwhile, and removes what was half-made. */
  async start(): Promise<void> {
    const { directory, exits } = this.#options
    await mkdir(directory, { recursive: true, mode: 0o700 })
    exits.start((name) => this.#exited(name))
    await Promise.all((await readdir(directory)).map((id) => this.#locks.run(id, () => this.#adopt(id))))
    for (const name of await exits.list()) {
      if (this.#entries.has(name)) this.#exited(name)
      else await exits.remove(name)
    }
  }

  stop(): void {
    this.#options.exits.stop()
  }

  entries(): readonly ContainerEntry[] {
    return [...this.#entries.values()].filter(({ phase }) => phase.phase !== 'creating')
  }

  find(id: string): ContainerEntry | undefined {
    return this.#entries.get(id)
  }

  create(request: NewContainer): Promise<void> {
    const { id, config, logPath } = request
    return this.#locks.run(id, async () => {
      if (this.#entries.has(id)) return
      const entry: ContainerEntry = {
        id,
        sandboxId: request.sandboxId,
        createdAt: this.#options.clock.now(),
        internal: request.internal,
        command: config.process.args[0] ?? '',
        cgroup: request.cgroup,
        stdin: request.stdin,
        phase: { phase: 'creating' },
      }
      const bundle = this.#bundle(id)
      this.#options.cgroups.expectMove()
      mkdirSync(bundle, { recursive: true, mode: 0o711 })
      this.#save(entry)
      try {
        mkdirSync(dirname(logPath), { recursive: true })
        writeFileSync(join(bundle, 'config.json'), JSON.stringify(config))
        const supervised = await this.#slots.run(() =>
          this.#options.conmon.create({
            id,
            bundle,
            logPath,
            tty: config.process.terminal,
            stdin: request.stdin,
            stdinOnce: request.stdinOnce,
          }),
        )
        this.#save({ ...entry, phase: { phase: 'created', ...supervised } })
      } catch (thrown) {
        const error = await this.#complaint(bundle, entry.command, `cannot create container ${id}`, thrown)
        await this.#discard(entry)
        throw error
      }
    })
  }

  begin(id: string): Promise<ContainerState> {
    return this.#locks.run(id, async () => {
      const entry = this.#get(id)
      if (entry.phase.phase !== 'created') return containerRecord(entry).state
      const { init, conmon } = entry.phase
      const startedAt = this.#options.clock.now()
      this.#save({ ...entry, phase: { phase: 'starting', init, conmon, startedAt } })
      try {
        if (!this.#startByFifo(id, init)) await this.#runtime(id, 'start', id)
      } catch (thrown) {
        this.#save(entry)
        throw await this.#complaint(this.#bundle(id), entry.command, `cannot start container ${id}`, thrown)
      }
      this.#save({ ...entry, phase: { phase: 'running', init, conmon, startedAt } })
      return containerRecord(this.#get(id)).state
    })
  }

  async kill(id: string, signal: number): Promise<void> {
    const supervised = await this.#supervised(id)
    if (supervised !== undefined) signalProcess(supervised.init, signal)
  }

  /** Kills it if it lives, then removes all there is of it. */
  async remove(id: string): Promise<void> {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    const supervised = await this.#supervised(id)
    if (supervised !== undefined) {
      signalProcess(supervised.init, SIGKILL)
      await this.#ended(id, supervised)
    }
    await this.#locks.run(id, async () => {
      const now = this.#entries.get(id)
      if (now !== undefined) await this.#discard(now)
    })
  }

  /** The state as it is now; an end that conmon did not live to tell is noticed here. */
  async state(id: string): Promise<ContainerState | undefined> {
    await this.#supervised(id)
    const entry = this.#entries.get(id)
    return entry === undefined ? undefined : containerRecord(entry).state
  }

  /** The first process, of a container that has one. */
  init(id: string): Supervised['init'] | undefined {
    const phase = this.#entries.get(id)?.phase
    return phase !== undefined && 'init' in phase ? phase.init : undefined
  }

  async process(id: string): Promise<OciProcess> {
    this.#get(id)
    return (JSON.parse(await readFile(join(this.#bundle(id), 'config.json'), 'utf8')) as OciConfig).process
  }

  async resizeTerminal(id: string, size: TerminalSize): Promise<void> {
    const supervised = await this.#supervised(id)
    if (supervised === undefined || !(await this.process(id)).terminal) return
    await resizeTerminal(this.#options.run, supervised.init.pid, size)
  }

  /** Path of the socket for input; NotFound if there is no container of the id. */
  attachSocket(id: string): string {
    return this.#options.conmon.attachSocket(this.#get(id).id)
  }

  async reopenLog(id: string): Promise<void> {
    if ((await this.#supervised(id)) === undefined) return
    await this.#options.conmon.reopenLog(this.#bundle(id))
  }

  #bundle(id: string): string {
    return join(this.#options.directory, id)
  }

  #get(id: string): ContainerEntry {
    const entry = this.#entries.get(id)
    if (entry === undefined) throw new GantryError('NotFound', `there is no container ${id}`)
    return entry
  }

  #save(entry: ContainerEntry): void {
    saveRecord(this.#bundle(entry.id), entry)
    this.#entries.set(entry.id, entry)
  }

  /** What still runs of a container. If neither its first process nor its conmon does, its end is taken down. */
  async #supervised(id: string): Promise<Supervised | undefined> {
    const phase = this.#entries.get(id)?.phase
    if (phase === undefined || !('init' in phase)) return undefined
    if (isAlive(phase.conmon) || isAlive(phase.init)) return phase
    await this.#locks.run(id, () => this.#finish(id, true))
    return undefined
  }

  async #adopt(id: string): Promise<void> {
    const entry = await loadRecord<ContainerEntry>(this.#bundle(id))
    if (entry === undefined || entry.phase.phase === 'creating') {
      return this.#discard(
        entry ?? {
          id,
          sandboxId: '',
          createdAt: 0,
          internal: false,
          command: '',
          cgroup: '',
          phase: { phase: 'creating' },
        },
      )
    }
    this.#entries.set(id, entry)
    if (entry.phase.phase === 'exited') return
    if (await this.#finish(id, false)) return
    const { init, conmon } = entry.phase
    if (!isAlive(init) && !isAlive(conmon)) return void (await this.#finish(id, true))
    if (entry.phase.phase === 'starting') this.#save({ ...entry, phase: await this.#whetherStarted(id, entry.phase) })
  }

  /** The process that started it ended before it could note whether it did. */
  async #whetherStarted(id: string, phase: Extract<Phase, { phase: 'starting' }>): Promise<Phase> {
    const { run, runtime, runtimeArgs, runtimeEnv } = this.#options
    const { stdout } = await run(runtime, [...runtimeArgs, 'state', id], { env: runtimeEnv })
    return { ...phase, phase: (JSON.parse(stdout) as { status: string }).status === 'created' ? 'created' : 'running' }
  }

  #exited(name: string): void {
    if (!this.#entries.has(name)) return
    this.#locks
      .run(name, () => this.#finish(name, false))
      .catch((error: unknown) =>
        this.#options.logger.error({ err: error, id: name }, 'cannot take down the end of a container'),
      )
  }

  /**
   * Takes down an end that conmon told of, or, if `lost`, one that nobody did. False if there is nothing to take down.
   */
  async #finish(id: string, lost: boolean): Promise<boolean> {
    const entry = this.#entries.get(id)
    if (entry === undefined || !('init' in entry.phase)) return false
    const told = await this.#options.exits.read(id)
    if (told === undefined && !lost) return false
    const end: ExitFile = told ?? { exitCode: UNKNOWN_EXIT, finishedAt: this.#options.clock.now() }
    const startedAt = 'startedAt' in entry.phase ? entry.phase.startedAt : entry.createdAt
    const oomKilled = (await this.#options.cgroups.oomKills(entry.cgroup)) > 0
    // In a process namespace that is not its own, what the container left behind outlives its first process.
    await this.#options.cgroups.kill(entry.cgroup)
    this.#save({ ...entry, phase: { phase: 'exited', ...end, oomKilled, startedAt } })
    for (const wake of [...(this.#awaiting.get(id) ?? [])]) wake()
    if (!entry.internal) this.#options.ended(containerRecord(this.#get(id)))
    return true
  }

  /** Resolves when the end of a killed container has been taken down; DeadlineExceeded. */
  async #ended(id: string, { init, conmon }: Supervised): Promise<void> {
    const { clock } = this.#options
    const deadline = clock.monotonic() + KILL_DEADLINE
    while ('init' in (this.#entries.get(id)?.phase ?? {})) {
      if (clock.monotonic() > deadline)
        throw new GantryError('DeadlineExceeded', `container ${id} is still there ${KILL_DEADLINE} ms after SIGKILL`)
      if (!isAlive(init) && !isAlive(conmon)) return void (await this.#locks.run(id, () => this.#finish(id, true)))
      await this.#nextEnd(id, KILL_CHECK)
    }
  }

  /** Waits for the container's end to be taken down, or for `millis` to pass. */
  #nextEnd(id: string, millis: number): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#awaiting.get(id) ?? new Set()
      const wake = (): void => {
        timer.cancel()
        waiting.delete(wake)
        if (waiting.size === 0) this.#awaiting.delete(id)
        resolve()
      }
      const timer = this.#options.clock.after(millis, wake)
      this.#awaiting.set(id, waiting.add(wake))
    })
  }

  async #discard(entry: ContainerEntry): Promise<void> {
    const { id } = entry
    await this.#runtime(id, 'delete', '--force', id)
    if (entry.cgroup !== '') await this.#options.cgroups.remove(entry.cgroup)
    await this.#options.exits.remove(id)
    await this.#options.conmon.forget(id)
    await removeDirectory(this.#bundle(id))
    this.#entries.delete(id)
  }

  /** False: the runtime is to do it, and to say what stands in the way. */
  #startByFifo(id: string, init: ProcessIdentity): boolean {
    const { startFifo } = this.#options
    return startFifo !== undefined && isAlive(init) && startByFifo(startFifo(id))
  }

  #runtime(id: string, ...args: readonly string[]): Promise<unknown> {
    const { run, runtime, runtimeArgs, runtimeEnv } = this.#options
    return this.#slots.run(() =>
      run(runtime, [...runtimeArgs, ...logTo(this.#bundle(id)), ...args], { env: runtimeEnv }),
    )
  }

  /** What the runtime wrote to its log says more than the failure of the process. */
  async #complaint(bundle: string, command: string, action: string, thrown: unknown): Promise<GantryError> {
    const error = GantryError.from(thrown)
    if (error.code !== 'Internal') return error
    const log = await readFile(join(bundle, 'runtime.log'), 'utf8').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return ''
      throw cause
    })
    return startError(lastLogged(log) ?? error.message, command, action, error)
  }
}
