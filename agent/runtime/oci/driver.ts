/** The runtime driver with conmon and crun or runc. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { Launcher } from '../../host/launcher.ts'
import type { SystemCaller } from '../../host/system-calls.ts'
import type {
  ContainerCounters,
  ContainerInput,
  ContainerRecord,
  ContainerSpec,
  ContainerState,
  ExecRequest,
  Resources,
  RuntimeDriver,
  SandboxRecord,
  SandboxSpec,
} from '../contract.ts'
import { readCounters } from './counters.ts'
import { Cgroups, type CgroupStats } from './cgroups.ts'
import { containerConfig, hostDevices, readSeccompProfile, type HostFacts, type SharedNamespaces } from './config.ts'
import { Conmon } from './conmon.ts'
import { Containers } from './containers.ts'
import { connectContainerInput } from './container-input.ts'
import { ExecManager, type ExecResult } from './exec-manager.ts'
import { ExitWatch } from './exit-watch.ts'
import { hostFacts } from './host-facts.ts'
import { holderId, HolderRootfs, holderSpec, NO_LIMITS } from './process-holder.ts'
import { KeyedLock } from '../../../proto/base/semaphore.ts'
import { ReadOnlyProgram } from './read-only-program.ts'
import { SandboxDirectories } from './sandbox-directories.ts'
import { isAlive } from '../../../proto/base/process.ts'
import { signalNumber } from './signal.ts'
import { containerRecord, loadRecord, saveRecord, type SandboxEntry } from './records.ts'
import { chooseRuntime, requireConmon, type RuntimeName, type RuntimeProgram } from './runtime-program.ts'

export interface OciDriverOptions {
  /**
   * Records, bundles and pinned namespaces: must outlive the agent's process, need not outlive the machine's boot; best
   * in memory.
   */
  readonly stateDir: string
  /** The runtime's own state and sockets: may be lost at a reboot. Short, for the sockets' sake (at most 60 bytes). */
  readonly runDir: string
  /** For programs: on a file system that lets them be executed (default: stateDir). */
  readonly programDir?: string
  /**
   * Where pods' control groups go, e.g. "/gantry". With version 2 the agent itself must not be in it, but may be in a
   * child of it.
   */
  readonly cgroupParent: string
  /** Undefined: crun, else runc. */
  readonly runtime?: RuntimeName
  /**
   * Bytes that a container's log file may have before what is in it is dropped; it is rotated before, unless it is
   * written fast (default: no limit).
   */
  readonly logSizeMax?: number
  /** Sandboxes kept ready (default 8). */
  readonly prepared?: number
  readonly launcher: Launcher
  readonly calls: SystemCaller
  readonly clock: Clock
  readonly logger: Logger
}

/** File names, control group names and the runtime's rules for ids, all at once. */
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/
/** Of the names of pods' control groups. */
const POD_PREFIX = 'pod'

interface RunningRuntime {
  readonly program: RuntimeProgram
  readonly runtimeArgs: readonly string[]
  readonly cgroups: Cgroups
  readonly host: HostFacts
  readonly containers: Containers
}

export class OciDriver implements RuntimeDriver {
  readonly #options: OciDriverOptions
  readonly #directories: SandboxDirectories
  readonly #execs: ExecManager
  readonly #holderRootfs: HolderRootfs
  readonly #readOnly: ReadOnlyProgram
  readonly #sandboxes = new Map<string, SandboxEntry>()
  readonly #locks = new KeyedLock()
  readonly #handlers = new Set<(container: ContainerRecord) => void>()
  /** Ends that nobody could be told of yet. */
  readonly #untold: ContainerRecord[] = []
  #running: RunningRuntime | undefined
  #started = false

  constructor(options: OciDriverOptions) {
    this.#options = options
    this.#directories = new SandboxDirectories(
      options.stateDir,
      options.prepared ?? 8,
      options.calls,
      options.clock,
      options.logger,
    )
    this.#execs = new ExecManager(join(options.runDir, 'exec'), options.clock)
    this.#holderRootfs = new HolderRootfs(this.#programDir)
    this.#readOnly = new ReadOnlyProgram(options.runDir, options.launcher.run)
  }

  get #programDir(): string {
    return this.#options.programDir ?? this.#options.stateDir
  }

  get name(): string {
    return this.#running?.program.name ?? this.#options.runtime ?? 'oci'
  }

  get version(): string | undefined {
    return /\d\S*/.exec(this.#running?.program.version ?? '')?.[0]
  }

  async start(): Promise<void> {
    const { stateDir, runDir, cgroupParent, launcher, clock, logger, logSizeMax } = this.#options
    const directories = { root: join(runDir, 'runtime'), sockets: join(runDir, 's'), exits: join(stateDir, 'exits') }
    for (const directory of Object.values(directories)) await mkdir(directory, { recursive: true, mode: 0o700 })
    await this.#execs.start()
    const cgroups = await Cgroups.detect(clock)
    cgroups.create(cgroupParent, NO_LIMITS)
    const conmonProgram = await requireConmon()
    const program = await chooseRuntime(this.#options.runtime, cgroups.layout, this.#programDir, this.#readOnly)
    const runtimeArgs = ['--root', directories.root]
    const conmon = new Conmon({
      program: conmonProgram,
      runtime: program.path,
      runtimeArgs,
      runtimeEnv: program.env,
      exitDirectory: directories.exits,
      socketDirectory: directories.sockets,
      logSizeMax,
      launcher,
    })
    const containers = new Containers({
      directory: join(stateDir, 'containers'),
      runtime: program.path,
      runtimeArgs,
      runtimeEnv: program.env,
      startFifo: program.name === 'crun' ? (id) => join(directories.root, id, 'exec.fifo') : undefined,
      run: launcher.run,
      conmon,
      exits: new ExitWatch(directories.exits, logger),
      cgroups,
      clock,
      logger,
      ended: (container) => {
        this.#untold.push(container)
        this.#tell()
      },
    })
    const ids = await this.#directories.start()
    await containers.start()
    this.#running = { program, runtimeArgs, cgroups, containers, host: await hostFacts(cgroups, cgroupParent) }
    for (const id of ids) await this.#adoptSandbox(id)
    await this.#endUnknown(cgroups)
    this.#started = true
    this.#tell()
    logger.info(
      {
        runtime: program.version,
        path: program.path,
        cgroups: cgroups.layout.version,
        sandboxes: this.#sandboxes.size,
        containers: containers.entries().length,
      },
      'runtime ready',
    )
  }

  async stop(): Promise<void> {
    await this.#execs.stop()
    this.#running?.containers.stop()
    await Promise.all([this.#directories.stop(), this.#readOnly.unmount()])
    this.#running = undefined
    this.#started = false
  }

  createSandbox(spec: SandboxSpec): Promise<SandboxRecord> {
    checkId(spec.id)
    return this.#locks.run(spec.id, async () => {
      const known = this.#sandboxes.get(spec.id)
      if (known !== undefined) return sandboxRecord(known)
      const { cgroups } = this.#ready()
      const entry: SandboxEntry = { spec, createdAt: this.#options.clock.now() }
      cgroups.expectMove()
      const directory = await this.#directories.take(spec.id)
      saveRecord(directory, entry)
      this.#sandboxes.set(spec.id, entry)
      try {
        cgroups.create(this.#podGroup(spec.id), spec.resources)
        if (spec.shareProcessNamespace && !spec.hostPid) await this.#startHolder(entry)
      } catch (error) {
        await this.#dropSandbox(spec.id)
        throw error
      }
      return sandboxRecord(entry)
    })
  }

  podFiles(sandboxId: string): string {
    checkId(sandboxId)
    return this.#directories.files(sandboxId)
  }

  removeSandbox(id: string): Promise<void> {
    return this.#locks.run(id, async () => {
      if (this.#sandboxes.has(id)) await this.#dropSandbox(id)
    })
  }

  async createContainer(spec: ContainerSpec): Promise<void> {
    checkId(spec.id)
    const sandbox = this.#sandboxes.get(spec.sandboxId)
    if (sandbox === undefined) throw new GantryError('NotFound', `there is no sandbox ${spec.sandboxId}`)
    await this.#make(spec, sandbox, false)
  }

  startContainer(id: string): Promise<ContainerState> {
    return this.#ready().containers.begin(id)
  }

  async killContainer(id: string, signal: string): Promise<void> {
    const number = signalNumber(signal)
    this.#container(id)
    await this.#ready().containers.kill(id, number)
  }

  removeContainer(id: string): Promise<void> {
    return this.#ready().containers.remove(id)
  }

  containerState(id: string): Promise<ContainerState | undefined> {
    return this.#ready().containers.state(id)
  }

  async list(): Promise<{ sandboxes: readonly SandboxRecord[]; containers: readonly ContainerRecord[] }> {
    const { containers } = this.#ready()
    return {
      sandboxes: [...this.#sandboxes.values()].map(sandboxRecord),
      containers: containers
        .entries()
        .filter(({ internal }) => !internal)
        .map(containerRecord),
    }
  }

  onExit(handler: (container: ContainerRecord) => void): () => void {
    this.#handlers.add(handler)
    this.#tell()
    return () => void this.#handlers.delete(handler)
  }

  async exec(id: string, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    const { containers, program, runtimeArgs } = this.#ready()
    const { state } = containerRecord(this.#container(id))
    if (state.state !== 'running')
      throw new GantryError('FailedPrecondition', `container ${id} is not running but ${state.state}`)
    return this.#execs.run(
      { containerId: id, process: await containers.process(id), runtime: program.path, runtimeArgs },
      request,
      signal,
    )
  }

  async openInput(id: string): Promise<ContainerInput> {
    const { containers } = this.#ready()
    const { state } = containerRecord(this.#container(id))
    if (state.state !== 'running')
      throw new GantryError('FailedPrecondition', `container ${id} is not running but ${state.state}`)
    if (this.#container(id).stdin !== true)
      throw new GantryError('FailedPrecondition', `container ${id} has no standard input`)
    return connectContainerInput(containers.attachSocket(id))
  }

  resizeTerminal(id: string, size: { readonly width: number; readonly height: number }): Promise<void> {
    this.#container(id)
    return this.#ready().containers.resizeTerminal(id, size)
  }

  async updateContainer(id: string, resources: Resources): Promise<void> {
    const { cgroups, host } = this.#ready()
    await cgroups.update(this.#container(id).cgroup, resources, host.limitsSwap)
  }

  async updateSandbox(id: string, resources: Resources): Promise<void> {
    if (!this.#sandboxes.has(id)) throw new GantryError('NotFound', `there is no sandbox ${id}`)
    await this.#ready().cgroups.update(this.#podGroup(id), resources, false)
  }

  async reopenLog(id: string): Promise<void> {
    this.#container(id)
    await this.#ready().containers.reopenLog(id)
  }

  async stats(id: string): Promise<CgroupStats | undefined> {
    const { containers, cgroups } = this.#ready()
    const entry = containers.find(id)
    return entry === undefined ? undefined : cgroups.stats(entry.cgroup)
  }

  async counters(id: string): Promise<ContainerCounters | undefined> {
    const { containers, cgroups } = this.#ready()
    const entry = containers.find(id)
    return entry === undefined ? undefined : readCounters(cgroups, entry.cgroup)
  }

  #tell(): void {
    if (!this.#started || this.#handlers.size === 0) return
    for (const container of this.#untold.splice(0)) for (const handler of this.#handlers) handler(container)
  }

  #ready(): RunningRuntime {
    if (this.#running === undefined) throw new GantryError('FailedPrecondition', 'the runtime driver is not started')
    return this.#running
  }

  #container(id: string): Parameters<typeof containerRecord>[0] {
    const entry = this.#ready().containers.find(id)
    if (entry === undefined) throw new GantryError('NotFound', `there is no container ${id}`)
    return entry
  }

  #podGroup(sandboxId: string): string {
    return join(this.#options.cgroupParent, `${POD_PREFIX}${sandboxId}`)
  }

  async #make(spec: ContainerSpec, sandbox: SandboxEntry, internal: boolean): Promise<void> {
    const { containers, host } = this.#ready()
    if (containers.find(spec.id) !== undefined) return
    const cgroup = join(this.#podGroup(spec.sandboxId), spec.id)
    const config = containerConfig({
      spec,
      sandbox: sandbox.spec,
      shared: await this.#shared(sandbox, internal, spec.pidNamespaceOf),
      host,
      cgroupsPath: cgroup,
      localSeccomp: spec.seccomp.type === 'Localhost' ? await readSeccompProfile(spec.seccomp.path) : undefined,
      devices: spec.privileged ? await hostDevices() : [],
    })
    await containers.create({
      id: spec.id,
      sandboxId: spec.sandboxId,
      internal,
      cgroup,
      config,
      logPath: spec.logPath,
      stdin: spec.stdin,
      stdinOnce: spec.stdinOnce === true,
    })
  }

  async #shared({ spec }: SandboxEntry, internal: boolean, processesOf: string | undefined): Promise<SharedNamespaces> {
    const directory = this.#directories.path(spec.id)
    const pins = { ipc: join(directory, 'ipc'), uts: join(directory, 'uts'), shm: join(directory, 'shm') }
    if (!spec.shareProcessNamespace && !spec.hostPid && processesOf !== undefined) {
      const target = this.#ready().containers.init(processesOf)
      if (target === undefined || !isAlive(target))
        throw new GantryError(
          'FailedPrecondition',
          `container ${processesOf}, whose processes are to be seen, does not run`,
        )
      return { ...pins, pid: `/proc/${target.pid}/ns/pid` }
    }
    if (!spec.shareProcessNamespace || spec.hostPid || internal) return { ...pins, pid: undefined }
    const holder = this.#ready().containers.init(holderId(spec.id))
    if (holder === undefined || !isAlive(holder))
      throw new GantryError(
        'FailedPrecondition',
        `the process namespace of sandbox ${spec.id} has ended: the sandbox must be made again`,
      )
    return { ...pins, pid: `/proc/${holder.pid}/ns/pid` }
  }

  async #startHolder(sandbox: SandboxEntry): Promise<void> {
    const { id } = sandbox.spec
    const logPath = join(this.#directories.path(id), 'holder.log')
    await this.#make(holderSpec(id, await this.#holderRootfs.path(), logPath), sandbox, true)
    await this.#ready().containers.begin(holderId(id))
  }

  async #adoptSandbox(id: string): Promise<void> {
    const entry = await loadRecord<SandboxEntry>(this.#directories.path(id))
    const whole = entry !== undefined && (await this.#directories.isWhole(id))
    if (entry !== undefined) this.#sandboxes.set(id, entry)
    if (!whole) await this.#dropSandbox(id)
  }

  /** Ends pods of which the records are lost: nobody would, and the next pod of that id would run beside them. */
  async #endUnknown(cgroups: Cgroups): Promise<void> {
    const known = new Set([...this.#sandboxes.keys()].map((id) => this.#podGroup(id)))
    for (const name of await cgroups.below(this.#options.cgroupParent)) {
      const group = join(this.#options.cgroupParent, name)
      if (!name.startsWith(POD_PREFIX) || known.has(group)) continue
      this.#options.logger.warn({ group }, 'ending a pod whose records are gone')
      await cgroups.killTree(group)
      await cgroups.remove(group)
    }
  }

  async #dropSandbox(id: string): Promise<void> {
    const { containers, cgroups } = this.#ready()
    await Promise.all(
      containers
        .entries()
        .filter(({ sandboxId }) => sandboxId === id)
        .map((entry) => containers.remove(entry.id)),
    )
    await cgroups.remove(this.#podGroup(id))
    await this.#directories.remove(id)
    this.#sandboxes.delete(id)
  }
}

function sandboxRecord({ spec, createdAt }: SandboxEntry): SandboxRecord {
  return { id: spec.id, network: spec.network, createdAt }
}

function checkId(id: string): void {
  if (!ID.test(id))
    throw new GantryError('InvalidArgument', `"${id}" is no id: letters, digits, "_", "." and "-", 200 at most`)
}
