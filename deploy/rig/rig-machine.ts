/**
 * A rig's machine as tests and scenarios handle it: what is done to it goes through the faults of the rig, so that it
 * is recorded and can be undone.
 */
import type { CommandOptions, CommandResult } from '../../proto/base/command.ts'
import type { JsonValue } from '../../proto/gen/types.ts'
import { checkOptionsOf } from './wait-options.ts'
import type { Machine, MachineState, ProgramName, Role } from './contract.ts'
import type { BeginOptions } from './faults/fault-engine.ts'
import type { FaultRecord } from './faults/contract.ts'
import { faultTypes } from './faults/index.ts'

/** What a machine needs of its rig. */
export interface Faults {
  fault(kind: string, values: Readonly<Record<string, unknown>>, options?: BeginOptions): Promise<Fault>
  heal(...ids: string[]): Promise<FaultRecord[]>
  faults(): Promise<FaultRecord[]>
  startMachine(name: string): Promise<void>
}

/** How long: milliseconds after which it ends by itself; without it, until it is healed. */
export interface Lasting {
  readonly for?: number
}

/** A fault that was begun. */
export class Fault {
  readonly record: FaultRecord
  readonly #rig: Faults

  constructor(record: FaultRecord, rig: Faults) {
    this.record = record
    this.#rig = rig
  }

  /** Unique in the rig: "f3". */
  get id(): string {
    return this.record.id
  }

  /** "n1 cut off from n2, n3". */
  get description(): string {
    return this.record.description
  }

  /** How it is done, where that matters. */
  get note(): string | undefined {
    return this.record.note
  }

  /** Ends it; no error if it has ended. */
  async heal(): Promise<void> {
    await this.#rig.heal(this.id)
  }
}

/**
 * A program that runs on a machine. It comes back by itself within about a second of its end: the machine's init, or
 * the controller, starts it again.
 */
export class RigProgram {
  readonly #target: string
  readonly #rig: Faults

  constructor(target: string, rig: Faults) {
    this.#target = target
    this.#rig = rig
  }

  /** SIGKILL. With `for`, it is kept from being started again for so long. */
  kill(lasting: Lasting = {}): Promise<Fault> {
    return this.#rig.fault('kill', { target: this.#target }, lasting)
  }

  /** SIGSTOP, until `cont()`. */
  stop(lasting: Lasting = {}): Promise<Fault> {
    return this.#rig.fault('stop', { target: this.#target }, lasting)
  }

  /** SIGCONT. */
  cont(): Promise<Fault> {
    return this.#rig.fault('cont', { target: this.#target })
  }
}

const COMMAND_OPTIONS: readonly (keyof CommandOptions)[] = ['timeout', 'signal', 'stdin', 'cwd', 'env', 'allow']

/** What is asked of a machine itself, and not of its rig's faults. */
export type OpenMachine = Pick<Machine, 'state' | 'run' | 'readLog'>

export class RigMachine {
  readonly name: string
  readonly role: Role
  /** IPv4, on the rig's network. */
  readonly address: string
  readonly #open: () => Promise<OpenMachine>
  readonly #rig: Faults

  /** `open`: the machine as the rig's record has it now; it may have been started again since. */
  constructor(
    { name, role, address }: { readonly name: string; readonly role: Role; readonly address: string },
    open: () => Promise<OpenMachine>,
    rig: Faults,
  ) {
    this.name = name
    this.role = role
    this.address = address
    this.#open = open
    this.#rig = rig
  }

  async state(): Promise<MachineState> {
    return (await this.#open()).state()
  }

  /**
   * Runs a program on the machine, as its root, to its end; also while it is stopped. A failure is a GantryError:
   * NotFound (no such program), DeadlineExceeded (30 s unless said), Internal for an exit code that `allow` does not
   * name, FailedPrecondition while the machine is off.
   */
  async run(command: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    checkOptionsOf('run', options, COMMAND_OPTIONS)
    return (await this.#open()).run(command, options)
  }

  /** The last bytes, `most` of them (64 KiB unless said), of what its programs have printed. */
  async log(most = 65_536): Promise<string> {
    return (await this.#open()).readLog(most)
  }

  /** Ends every process on it at once (SIGKILL). Off until healed, started, or after `for`. */
  kill(lasting: Lasting = {}): Promise<Fault> {
    return this.#rig.fault('kill', { target: this.name }, lasting)
  }

  /** As `kill`, and what was not synced to its disk is lost. FailedPrecondition where the driver cannot. */
  powerOff(lasting: Lasting = {}): Promise<Fault> {
    return this.#rig.fault('power-off', { machine: this.name }, lasting)
  }

  /** Off and on again. */
  reboot(): Promise<Fault> {
    return this.#rig.fault('reboot', { machine: this.name })
  }

  /** Stops every process (SIGSTOP in effect), until `cont()`. */
  stop(lasting: Lasting = {}): Promise<Fault> {
    return this.#rig.fault('stop', { target: this.name }, lasting)
  }

  /** Continues what `stop()` stopped. */
  cont(): Promise<Fault> {
    return this.#rig.fault('cont', { target: this.name })
  }

  /** Starts it after `kill` or `powerOff`, which that ends. No error if it runs. */
  start(): Promise<void> {
    return this.#rig.startMachine(this.name)
  }

  /** A program on it: "agent" on nodes, "controller", "etcd" and "nats" on controllers, "registry". */
  program(name: ProgramName): RigProgram {
    return new RigProgram(`${this.name}/${name}`, this.#rig)
  }

  /** The shims of a pod's containers on this node. */
  shim(pod: string): RigProgram {
    return new RigProgram(`${this.name}/shim:${pod}`, this.#rig)
  }

  /**
   * A fault of this kind on this machine: `fault('disk', { mode: 'full' })`. InvalidArgument for a kind that is about
   * no machine.
   */
  fault(kind: string, values: Readonly<Record<string, JsonValue>> = {}, lasting: Lasting = {}): Promise<Fault> {
    return this.#rig.fault(kind, { ...this.#asValue(kind), ...values }, lasting)
  }

  #asValue(kind: string): Record<string, JsonValue> {
    const parameters = faultTypes[kind]?.parameters ?? {}
    const [name, parameter] =
      Object.entries(parameters).find(
        ([, { type }]) => type === 'machine' || type === 'machines' || type === 'target',
      ) ?? []
    return name === undefined ? {} : { [name]: parameter!.type === 'machines' ? [this.name] : this.name }
  }
}
