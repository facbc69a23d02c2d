/**
 * A rig of machines that only sleep, its faults kept in memory: what faults do is seen from beside, with no cluster
 * around it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../proto/base/clock.ts'
import { identify, type ProcessIdentity } from '../../proto/base/process.ts'
import { Semaphore } from '../../proto/base/semaphore.ts'
import type { Machine, MachineRecord, MachineSpec, NetworkRecord, Role } from '../../deploy/rig/contract.ts'
import { NamespacesDriver } from '../../deploy/rig/drivers/namespaces/driver.ts'
import type { FaultRecord, FaultType } from '../../deploy/rig/faults/contract.ts'
import { FaultEngine, type FaultBackend } from '../../deploy/rig/faults/fault-engine.ts'
import { eventually } from '../eventually.ts'

export interface TinyMachine extends Partial<Pick<MachineSpec, 'memoryBytes' | 'cpus'>> {
  readonly role: Role
  readonly index: number
  /** What its init keeps running; `sleep infinity` unless given. */
  readonly command?: (runDir: string) => readonly string[]
}

const DISK = 256 * 1024 * 1024

export class TinyRig implements FaultBackend {
  readonly rig: string
  readonly clock = systemClock
  readonly driver: NamespacesDriver
  readonly engine: FaultEngine
  readonly #network: NetworkRecord
  readonly #folder: string
  readonly #machines = new Map<string, Machine>()
  readonly #records = new Map<string, MachineRecord>()
  readonly #programs: ChildProcess[] = []
  readonly #turns = new Semaphore(1)
  #faults: readonly FaultRecord[] = []

  private constructor(
    rig: string,
    driver: NamespacesDriver,
    network: NetworkRecord,
    folder: string,
    types: readonly FaultType[],
  ) {
    this.rig = rig
    this.driver = driver
    this.#network = network
    this.#folder = folder
    this.engine = new FaultEngine(this, Object.fromEntries(types.map((type) => [type.kind, type])))
  }

  static async start(types: readonly FaultType[], machines: Readonly<Record<string, TinyMachine>>): Promise<TinyRig> {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-tiny-'))
    const rig = `tiny-${folder.slice(-6).toLowerCase()}`
    const driver = await NamespacesDriver.open()
    const network = await driver.createNetwork(rig, async () => undefined)
    const tiny = new TinyRig(rig, driver, network, folder, types)
    try {
      await Promise.all(Object.entries(machines).map(([name, machine]) => tiny.#add(name, machine)))
    } catch (thrown) {
      await tiny.stop()
      throw thrown
    }
    return tiny
  }

  async #add(
    name: string,
    { role, index, command = () => ['sleep', 'infinity'], ...limits }: TinyMachine,
  ): Promise<void> {
    const home = join(this.#folder, name)
    const runDir = join('/run/gantry', this.rig, name)
    const program = { name: role === 'node' ? 'agent' : role, command: command(runDir) } as const
    const spec: MachineSpec = {
      name,
      role,
      index,
      program,
      files: [],
      stateDir: join(home, 'state'),
      runDir,
      log: join(home, 'log'),
      diskBytes: DISK,
      ...limits,
    }
    const record = async (changed: MachineRecord): Promise<void> => void this.#records.set(name, changed)
    const made = await this.driver.startMachine(this.rig, this.#network, spec, record)
    this.#machines.set(name, this.driver.machine(this.rig, this.#network, made, record))
  }

  machine(name: string): Machine {
    return this.#machines.get(name)!
  }

  /** What a command on a machine prints; without its exit code. */
  async ask(machine: string, ...command: string[]): Promise<string> {
    return (
      await this.machine(machine).run(command, { allow: Array.from({ length: 256 }, (_, code) => code) })
    ).stdout.trim()
  }

  /** A process on a machine that ends with the rig; its standard streams are this process's to use. */
  spawn(
    machine: string,
    ...command: string[]
  ): ChildProcess & { stdout: NonNullable<ChildProcess['stdout']>; stdin: NonNullable<ChildProcess['stdin']> } {
    const { init } = this.#records.get(machine)!.handle as unknown as { init: ProcessIdentity }
    const child = spawn('nsenter', ['--target', String(init.pid), '--mount', '--net', '--uts', '--pid', ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#programs.push(child)
    return child as never
  }

  /** As `spawn`; resolves with the first line that it prints. */
  async begin(machine: string, ...command: string[]): Promise<string> {
    const child = this.spawn(machine, ...command)
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    return eventually(() => (text.includes('\n') ? text.slice(0, text.indexOf('\n')) : false))
  }

  /** As `begin`, of a script of Node.js. */
  serve(machine: string, script: string, ...args: string[]): Promise<string> {
    return this.begin(machine, process.execPath, '-e', script, ...args)
  }

  /** Ends all, and finds nothing left. */
  async stop(): Promise<void> {
    for (const program of this.#programs) program.kill('SIGKILL')
    for (const record of this.#records.values()) await this.driver.removeMachine(this.rig, this.#network, record)
    await this.driver.removeNetwork(this.rig, this.#network)
    await rm(this.#folder, { recursive: true, force: true })
    if (existsSync(join('/run/gantry', this.rig))) throw new Error(`/run/gantry/${this.rig} is left`)
  }

  async machines(): Promise<readonly Machine[]> {
    return [...this.#machines.values()]
  }

  async faults(): Promise<readonly FaultRecord[]> {
    return this.#faults
  }

  /** Kept as text in between, as in a rig's record: what is no JSON does not survive. */
  async update(change: (faults: readonly FaultRecord[]) => readonly FaultRecord[]): Promise<void> {
    this.#faults = JSON.parse(JSON.stringify(change(this.#faults))) as FaultRecord[]
  }

  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(work)
  }

  async setTimer(): Promise<ProcessIdentity> {
    return identify(process.pid)!
  }

  async endTimer(): Promise<void> {
    // Tests heal by themselves: there is no timer to end.
  }
}
