/**
 * A runtime driver that only pretends, on the clock it is given: for unit tests and simulation. What containers do is
 * scripted.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import {
  START_FAILURE_FIELD,
  type ContainerCounters,
  type ContainerInput,
  type ContainerRecord,
  type ContainerSpec,
  type ContainerState,
  type ExecRequest,
  type Resources,
  type RuntimeDriver,
  type SandboxRecord,
  type SandboxSpec,
} from './contract.ts'
import { signalNumber } from './oci/signal.ts'

/** What a container does. Nothing said: it runs until a signal ends it. All times in milliseconds on the clock. */
export interface FakeBehaviour {
  /** Ends by itself so long after its start. */
  readonly exitAfter?: number
  /** With this code (default 0). */
  readonly exitCode?: number
  /** …killed by the kernel for want of memory: 137. */
  readonly oomKilled?: boolean
  /** Only SIGKILL ends it. */
  readonly ignoresSignals?: boolean
  /** From a signal that ends it to its end (default 0). */
  readonly stopAfter?: number
  /** The command cannot be started: 127 or 126. */
  readonly startFailure?: 126 | 127
  /** createContainer fails with this. */
  readonly createError?: GantryError
  /** createContainer takes so long. */
  readonly createAfter?: number
  /**
   * Written by exec, a chunk at a time, and its exit code; else exec repeats its command on stdout and exits with 0.
   */
  readonly exec?: (request: ExecRequest) => { readonly stdout: string | Iterable<string>; readonly exitCode: number }
}

export interface FakeContainer {
  spec: ContainerSpec
  readonly behaviour: FakeBehaviour
  state: ContainerState
  /** Signals received, in order. */
  readonly signals: number[]
  /** What was written to its standard input, and whether that has ended. */
  readonly input: { text: string; ended: boolean }
  /** Sizes that its terminal was given, as "80x24". */
  readonly sizes: string[]
  timer: Timer | undefined
}

const SIGKILL = 9
const EXITED_BY_SIGNAL = 128

/** What outlives the agent: hand the same one to the next driver, and it adopts what is there. */
export class FakeMachine {
  readonly sandboxes = new Map<string, { readonly spec: SandboxSpec; readonly createdAt: number }>()
  readonly containers = new Map<string, FakeContainer>()
  readonly #clock: Clock
  #nextPid = 1000
  /** The driver that is told of ends; without one they wait. */
  listener: ((container: ContainerRecord) => void) | undefined
  readonly #untold: ContainerRecord[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  listen(listener: ((container: ContainerRecord) => void) | undefined): void {
    this.listener = listener
    if (listener !== undefined) for (const record of this.#untold.splice(0)) listener(record)
  }

  begin(container: FakeContainer): void {
    const { exitAfter, exitCode = 0, oomKilled = false } = container.behaviour
    container.state = { state: 'running', pid: this.#nextPid++, startedAt: this.#clock.now() }
    if (exitAfter !== undefined)
      container.timer = this.#clock.after(exitAfter, () =>
        this.end(container, oomKilled ? EXITED_BY_SIGNAL + SIGKILL : exitCode, oomKilled),
      )
  }

  signal(container: FakeContainer, signal: number): void {
    if (container.state.state === 'exited') return
    container.signals.push(signal)
    if (signal !== SIGKILL && (container.behaviour.ignoresSignals === true || container.state.state === 'created'))
      return
    const wait = signal === SIGKILL ? 0 : (container.behaviour.stopAfter ?? 0)
    container.timer?.cancel()
    container.timer = this.#clock.after(wait, () => this.end(container, EXITED_BY_SIGNAL + signal, false))
  }

  /** Ends a container now: a test's own doing. */
  end(container: FakeContainer, exitCode: number, oomKilled = false): void {
    if (container.state.state === 'exited') return
    container.timer?.cancel()
    const finishedAt = this.#clock.now()
    const startedAt = container.state.state === 'running' ? container.state.startedAt : finishedAt
    const signal =
      exitCode > EXITED_BY_SIGNAL && exitCode <= EXITED_BY_SIGNAL + 64 ? exitCode - EXITED_BY_SIGNAL : undefined
    container.state = { state: 'exited', exitCode, signal, oomKilled, startedAt, finishedAt }
    const record = containerRecord(container)
    if (this.listener === undefined) this.#untold.push(record)
    else this.listener(record)
  }

  /** The machine lost power: processes and sandboxes are gone, what was running has ended with 255. */
  reboot(): void {
    this.sandboxes.clear()
    for (const container of this.containers.values()) this.end(container, 255)
    this.containers.clear()
  }
}

export class FakeRuntime implements RuntimeDriver {
  readonly name = 'fake'
  readonly version = '1.0'
  readonly machine: FakeMachine
  readonly #clock: Clock
  readonly #script: (spec: ContainerSpec) => FakeBehaviour
  readonly #handlers = new Set<(container: ContainerRecord) => void>()
  readonly #untold: ContainerRecord[] = []
  #started = false

  /** `script` is asked once for each container that is created. */
  constructor(
    clock: Clock,
    script: (spec: ContainerSpec) => FakeBehaviour = () => ({}),
    machine = new FakeMachine(clock),
  ) {
    this.#clock = clock
    this.#script = script
    this.machine = machine
  }

  start(): Promise<void> {
    this.#started = true
    this.machine.listen((container) => {
      this.#untold.push(container)
      this.#tell()
    })
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.#started = false
    this.machine.listen(undefined)
    return Promise.resolve()
  }

  async createSandbox(spec: SandboxSpec): Promise<SandboxRecord> {
    this.#check()
    if (!this.machine.sandboxes.has(spec.id))
      this.machine.sandboxes.set(spec.id, { spec, createdAt: this.#clock.now() })
    return sandboxRecord(this.machine.sandboxes.get(spec.id)!)
  }

  async removeSandbox(id: string): Promise<void> {
    this.#check()
    for (const container of [...this.machine.containers.values()])
      if (container.spec.sandboxId === id) await this.removeContainer(container.spec.id)
    this.machine.sandboxes.delete(id)
  }

  async createContainer(spec: ContainerSpec): Promise<void> {
    this.#check()
    if (!this.machine.sandboxes.has(spec.sandboxId))
      throw new GantryError('NotFound', `there is no sandbox ${spec.sandboxId}`)
    if (this.machine.containers.has(spec.id)) return
    const { pidNamespaceOf: processesOf } = spec
    if (processesOf !== undefined && this.machine.containers.get(processesOf)?.state.state !== 'running')
      throw new GantryError(
        'FailedPrecondition',
        `container ${processesOf}, whose processes are to be seen, does not run`,
      )
    const behaviour = this.#script(spec)
    if (behaviour.createAfter !== undefined)
      await new Promise<void>((resolve) => this.#clock.after(behaviour.createAfter!, resolve))
    if (behaviour.createError !== undefined) throw behaviour.createError
    if (behaviour.startFailure !== undefined) throw startFailure(behaviour.startFailure, spec.args[0] ?? '')
    this.machine.containers.set(spec.id, {
      spec,
      behaviour,
      state: { state: 'created' },
      signals: [],
      input: { text: '', ended: false },
      sizes: [],
      timer: undefined,
    })
  }

  async startContainer(id: string): Promise<ContainerState> {
    const container = this.#get(id)
    if (container.state.state === 'created') this.machine.begin(container)
    return container.state
  }

  async killContainer(id: string, signal: string): Promise<void> {
    const number = signalNumber(signal)
    this.machine.signal(this.#get(id), number)
  }

  async removeContainer(id: string): Promise<void> {
    this.#check()
    const container = this.machine.containers.get(id)
    if (container === undefined) return
    this.machine.end(container, EXITED_BY_SIGNAL + SIGKILL)
    this.machine.containers.delete(id)
  }

  async containerState(id: string): Promise<ContainerState | undefined> {
    this.#check()
    return this.machine.containers.get(id)?.state
  }

  async list(): Promise<{ sandboxes: readonly SandboxRecord[]; containers: readonly ContainerRecord[] }> {
    this.#check()
    return {
      sandboxes: [...this.machine.sandboxes.values()].map(sandboxRecord),
      containers: [...this.machine.containers.values()].map(containerRecord),
    }
  }

  onExit(handler: (container: ContainerRecord) => void): () => void {
    this.#handlers.add(handler)
    this.#tell()
    return () => void this.#handlers.delete(handler)
  }

  async exec(id: string, request: ExecRequest, signal: AbortSignal): Promise<{ exitCode: number; message: string }> {
    const container = this.#get(id)
    if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
    if (container.state.state !== 'running')
      throw new GantryError('FailedPrecondition', `container ${id} is not running but ${container.state.state}`)
    const { stdout, exitCode } = container.behaviour.exec?.(request) ?? {
      stdout: request.command.join(' '),
      exitCode: 0,
    }
    for (const chunk of typeof stdout === 'string' ? [stdout] : stdout) {
      if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
      if (chunk !== '') await request.output('stdout', Buffer.from(chunk))
    }
    return { exitCode, message: '' }
  }

  async openInput(id: string): Promise<ContainerInput> {
    const { spec, state, input } = this.#get(id)
    if (state.state !== 'running')
      throw new GantryError('FailedPrecondition', `container ${id} is not running but ${state.state}`)
    if (!spec.stdin) throw new GantryError('FailedPrecondition', `container ${id} has no standard input`)
    return {
      write: (chunk) => {
        if (!input.ended) input.text += Buffer.from(chunk).toString()
        return Promise.resolve()
      },
      close: () => {
        if (spec.stdinOnce === true && !spec.tty) input.ended = true
        return Promise.resolve()
      },
    }
  }

  async resizeTerminal(id: string, { width, height }: { width: number; height: number }): Promise<void> {
    const { spec, state, sizes } = this.#get(id)
    if (spec.tty && state.state === 'running') sizes.push(`${width}x${height}`)
  }

  async updateContainer(id: string, resources: Resources): Promise<void> {
    const container = this.#get(id)
    container.spec = { ...container.spec, resources }
  }

  async updateSandbox(id: string, resources: Resources): Promise<void> {
    this.#check()
    const sandbox = this.machine.sandboxes.get(id)
    if (sandbox === undefined) throw new GantryError('NotFound', `there is no sandbox ${id}`)
    this.machine.sandboxes.set(id, { ...sandbox, spec: { ...sandbox.spec, resources } })
  }

  async reopenLog(id: string): Promise<void> {
    this.#get(id)
  }

  async stats(
    id: string,
  ): Promise<{ memory: number; memoryPeak: number; cpuNanos: number; processes: number } | undefined> {
    this.#check()
    const container = this.machine.containers.get(id)
    if (container === undefined) return undefined
    return {
      memory: 1 << 20,
      memoryPeak: 2 << 20,
      cpuNanos: 1_000_000,
      processes: container.state.state === 'running' ? 1 : 0,
    }
  }

  async counters(id: string): Promise<ContainerCounters | undefined> {
    const stats = await this.stats(id)
    if (stats === undefined) return undefined
    const { memory, memoryPeak, cpuNanos, processes } = stats
    return {
      cpuNanos,
      cpuUserNanos: cpuNanos / 2,
      cpuSystemNanos: cpuNanos / 2,
      cpuPeriods: 0,
      cpuThrottledPeriods: 0,
      cpuThrottledNanos: 0,
      memoryUsage: memory,
      memoryPeak,
      memoryWorkingSet: memory,
      memoryRss: memory,
      memoryCache: 0,
      memoryMapped: 0,
      pageFaults: 1,
      majorPageFaults: 0,
      oomKills: 0,
      processes,
    }
  }

  #check(): void {
    if (!this.#started) throw new GantryError('FailedPrecondition', 'the runtime driver is not started')
  }

  #get(id: string): FakeContainer {
    this.#check()
    const container = this.machine.containers.get(id)
    if (container === undefined) throw new GantryError('NotFound', `there is no container ${id}`)
    return container
  }

  #tell(): void {
    if (!this.#started || this.#handlers.size === 0) return
    for (const container of this.#untold.splice(0)) for (const handler of this.#handlers) handler(container)
  }
}

function startFailure(exitCode: 126 | 127, command: string): GantryError {
  const message = `exec: ${JSON.stringify(command)}: ${exitCode === 127 ? 'not found' : 'permission denied'}`
  return new GantryError(exitCode === 127 ? 'NotFound' : 'FailedPrecondition', message, {
    details: [{ field: START_FAILURE_FIELD, value: String(exitCode), message }],
  })
}

function containerRecord({ spec, state }: FakeContainer): ContainerRecord {
  return { id: spec.id, sandboxId: spec.sandboxId, state }
}

function sandboxRecord({ spec, createdAt }: { spec: SandboxSpec; createdAt: number }): SandboxRecord {
  return { id: spec.id, network: spec.network, createdAt }
}
