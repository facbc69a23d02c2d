/**
 * What a rig is made of, however its machines are made. A *machine* is a computer of the rig as its programs see it:
 * own network, mounts, processes, host name, address and disk. A *driver* makes machines: out of namespaces, or out of
 * containers. Everything above (the rig's layout, readiness, faults, scenarios) speaks to machines through this
 * contract only.
 *
 *   Rig ──▶ layout ──▶ MachineSpec ──▶ Driver ──▶ Machine
 *    │                                               ▲
 *    └──▶ faults, scenarios, logs ───────────────────┘
 *
 * Whatever a driver makes is written down before it is made (`record`), in JSON, so that another process finds and
 * removes it.
 */
import type { CommandOptions, CommandResult } from '../../proto/base/command.ts'
import type { JsonValue } from '../../proto/gen/types.ts'

export type DriverName = 'namespaces' | 'docker'

export type Role = 'controller' | 'registry' | 'node'

/**
 * What runs on a machine: those that its init keeps running (`agent`, `controller`, `registry`) and those that these
 * start.
 */
export type ProgramName = 'agent' | 'controller' | 'etcd' | 'nats' | 'registry'

/** A file that a machine has before its program starts. */
export interface MachineFile {
  /** Absolute, as the machine sees it. */
  readonly path: string
  readonly content: string
  /** Permissions; 0o600 unless said. */
  readonly mode?: number
}

/** JSON: it is kept in the rig's record, and a machine is started from it again. */
export interface MachineSpec {
  /** Host name, unique in the rig: "n1", "controller", "controller-2", "registry". */
  readonly name: string
  readonly role: Role
  /** Its number in the rig's network; a driver derives the address from it where it chooses addresses. */
  readonly index: number
  /** What init keeps running, as the machine sees it. */
  readonly program: { readonly name: ProgramName; readonly command: readonly string[] }
  readonly files: readonly MachineFile[]
  /** Directory that outlives a reboot, on the machine's own disk: state of programs. */
  readonly stateDir: string
  /** Directory that a reboot empties: sockets, pid files. Short, because a socket's path has at most 107 bytes. */
  readonly runDir: string
  /**
   * Where the output of its programs goes, as the machine sees it; outlives a reboot, is not on the machine's own disk
   * (a full disk does not end it).
   */
  readonly log: string
  /** Bytes of its disk at most. */
  readonly diskBytes: number
  /** Bytes of memory and number of processors that everything on it may use together; undefined: the host's. */
  readonly memoryBytes?: number
  readonly cpus?: number
}

/** A machine that was started, in JSON. `handle` is the driver's. */
export interface MachineRecord {
  readonly spec: MachineSpec
  /** IPv4 address on the rig's network. */
  readonly address: string
  readonly handle: JsonValue
}

/** The rig's network, in JSON. `handle` is the driver's. */
export interface NetworkRecord {
  readonly handle: JsonValue
}

/** What a driver can do beyond the rest; a fault that needs more is refused with this as the reason. */
export interface Capabilities {
  /** The machine has a disk of its own: it can be filled, made read-only or slow without harm to the host. */
  readonly ownDisk: boolean
  /** Power can go with unwritten pages lost. */
  readonly powerLoss: boolean
  /** The kernel's network emulation (tc netem) is there. */
  readonly netem: boolean
  /** Machines can be added to and taken from a running rig. */
  readonly resize: boolean
  /** Every process on a machine can be stopped and continued at once. */
  readonly freeze: boolean
}

/** Something that the host lacks for a rig. */
export interface Shortcoming {
  /** What was looked at, e.g. "fs.inotify.max_user_instances". */
  readonly what: string
  readonly found: string
  readonly needed: string
  /** What a person can do: a command where there is one. */
  readonly remedy: string
  /** `fatal`: the rig cannot be made. `warning`: it may run into it. */
  readonly severity: 'fatal' | 'warning'
}

/** What a rig asks of its host. */
export interface Demand {
  readonly controllers: number
  readonly nodes: number
  readonly diskBytes: number
}

export type MachineState = 'running' | 'frozen' | 'off'

/**
 * A machine of a rig that exists. Methods fail with FailedPrecondition while the machine is not in a state for them.
 */
export interface Machine {
  readonly spec: MachineSpec
  readonly address: string
  state(): Promise<MachineState>
  /**
   * Runs a program in all of the machine's namespaces, as its root, to the end. Errors as of `run` in
   * proto/base/command.ts. Works while the machine is frozen.
   */
  run(command: readonly string[], options?: CommandOptions): Promise<CommandResult>
  /**
   * Starts a program that goes on until it ends, the machine ends or `endProgram` is called. Output goes to the
   * machine's log. It may run beside the machine's processes: not frozen with them, and not in the cgroup of pods. The
   * answer is JSON, to be kept in a record.
   */
  startProgram(command: readonly string[]): Promise<JsonValue>
  /** Ends what startProgram began, and waits for it; no error if it has ended by itself, or with the machine. */
  endProgram(program: JsonValue): Promise<void>
  /** A program for a person, with this process's terminal; its exit code. */
  terminal(command: readonly string[]): Promise<number>
  /**
   * The last bytes, `most` of them, of what its programs have printed (spec.log); also while it is off or frozen. '' if
   * nothing was.
   */
  readLog(most: number): Promise<string>
  /** Stops every process (SIGSTOP in effect) and continues them. No error if it is so already. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Ends every process at once (SIGKILL). What was written is kept. No error if it is off. */
  kill(): Promise<void>
  /** As `kill`, and what was not synced to its disk is lost. Capability powerLoss. */
  powerOff(): Promise<void>
  /** Starts it again from the same disk, with an empty runDir, under the same address. No error if it runs. */
  start(): Promise<void>
  /** Its own disk. Capability ownDisk. */
  readonly disk: MachineDisk | undefined
}

/** A machine's own disk, mounted at its stateDir. */
export interface MachineDisk {
  /** Leaves no more than `freeBytes`; `release` gives the space back. */
  fill(freeBytes: number): Promise<void>
  release(): Promise<void>
  /**
   * Where programs have files open for writing, only a restart of the machine makes it writable again: then
   * setReadOnly(false) restarts it.
   */
  setReadOnly(on: boolean): Promise<void>
  /**
   * Bytes a second for what the machine's processes read and write past the page cache; undefined: as fast as it is.
   */
  throttle(bytesPerSecond: number | undefined): Promise<void>
}

export interface Driver {
  readonly name: DriverName
  readonly capabilities: Capabilities
  /** As machines see them: Node.js, and the directory of Gantry's bundles. */
  readonly installation: { readonly node: string; readonly dist: string }

  /** What the host lacks. Changes nothing. */
  check(demand: Demand): Promise<Shortcoming[]>

  /**
   * Makes what the machines of every rig share and this host does not have yet, which may take a minute; left out where
   * there is nothing of the kind.
   */
  prepare?(progress: (text: string) => void, signal: AbortSignal): Promise<void>

  /**
   * Makes the network of a rig. `record` is called before anything is made, perhaps again with another network when the
   * first was taken meanwhile.
   */
  createNetwork(rig: string, record: (network: NetworkRecord) => Promise<void>): Promise<NetworkRecord>
  /** By what machines reach a machine with this index and name, before it is started: an address or host name. */
  hostOf(network: NetworkRecord, index: number, name: string): string

  /**
   * Starts a machine and plugs it in; its program starts only once `record` has written it down. Internal with the
   * machine's last log lines if it does not start.
   */
  startMachine(
    rig: string,
    network: NetworkRecord,
    spec: MachineSpec,
    record: (machine: MachineRecord) => Promise<void>,
  ): Promise<MachineRecord>
  /** The machine of a record; `record` is called whenever its handle changes (it was started again). */
  machine(
    rig: string,
    network: NetworkRecord,
    machine: MachineRecord,
    record: (machine: MachineRecord) => Promise<void>,
  ): Machine
  /** Where a machine's port is reached from this host: host:port. */
  endpoint(machine: MachineRecord, port: number): Promise<string>
  /** Ends a machine with everything that was made for it, also half-made or already gone. */
  removeMachine(rig: string, network: NetworkRecord, machine: MachineRecord): Promise<void>
  /**
   * Removes the network and all else that belongs to the rig on this host; settings of the host that rigs need are set
   * back with the last rig. Without `network` (none was made, or the record that told of it is lost) what there is is
   * found by the rig's name, machines too.
   */
  removeNetwork(rig: string, network: NetworkRecord | undefined): Promise<void>
}
