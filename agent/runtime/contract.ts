/**
 * The runtime driver: sandboxes (a pod's namespaces) and containers in them. Implementations: oci/ (conmon and crun or
 * runc), fake.ts (scripted, for tests and simulation); test/contract/runtime.ts is the suite both pass.
 *
 * Containers outlive the agent. Everything is persisted by the driver under its state directory, so that `list` after a
 * restart tells all that exists. Every verb may be repeated: creating what exists as asked, or removing what is gone,
 * succeeds.
 */
import type { Attachment } from '../network/contract.ts'

export interface SandboxSpec {
  /** Unique on the node: the pod's uid. */
  readonly id: string
  readonly hostname: string
  /** Undefined: the host's network. */
  readonly network: Attachment | undefined
  readonly hostPid: boolean
  readonly hostIpc: boolean
  /** One PID namespace for all containers, held by an init process. */
  readonly shareProcessNamespace: boolean
  readonly sysctls: Readonly<Record<string, string>>
  /** Limits of the whole pod, 0 for none: the pod's own cgroup. */
  readonly resources: Resources
}

export interface Resources {
  /** cgroup v1 shares (2–262144; 1024 per cpu requested); converted to a weight on v2. */
  readonly cpuShares: number
  /** Microseconds of cpu time in each 100,000; 0: no limit. */
  readonly cpuQuotaMicros: number
  /** Bytes; 0: no limit. */
  readonly memoryLimit: number
  /** Processes; 0: no limit. */
  readonly pidsLimit: number
}

export interface Mount {
  readonly source: string
  readonly destination: string
  readonly readOnly: boolean
  /** 'bind', or 'tmpfs' with an empty source. */
  readonly type: 'bind' | 'tmpfs'
  readonly propagation?: 'private' | 'rslave' | 'rshared'
  /** tmpfs: bytes at most. */
  readonly sizeLimit?: number
}

export interface ContainerSpec {
  /** Unique on the node. */
  readonly id: string
  readonly sandboxId: string
  /**
   * The container of the sandbox whose process namespace it joins; it ends with it. Undefined: its own, or the one that
   * the sandbox shares.
   */
  readonly pidNamespaceOf?: string | undefined
  /** The mounted root filesystem. */
  readonly rootfs: string
  readonly args: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] }
  readonly mounts: readonly Mount[]
  readonly resources: Resources
  readonly oomScoreAdj: number
  readonly privileged: boolean
  readonly readOnlyRootfs: boolean
  readonly allowPrivilegeEscalation: boolean
  /** Added to and dropped from the default set, without "CAP_"; "ALL" is all. */
  readonly capabilities: { readonly add: readonly string[]; readonly drop: readonly string[] }
  readonly seccomp:
    | { readonly type: 'RuntimeDefault' | 'Unconfined' }
    | { readonly type: 'Localhost'; readonly path: string }
  /** procMount: Unmasked leaves /proc paths visible. */
  readonly unmaskedProc: boolean
  readonly tty: boolean
  readonly stdin: boolean
  /** The standard input ends with whoever is the first to join it. */
  readonly stdinOnce?: boolean
  /**
   * CRI log file, as in https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
   */
  readonly logPath: string
}

export type ContainerState =
  | { readonly state: 'created' }
  | { readonly state: 'running'; readonly pid: number; readonly startedAt: number }
  /** Milliseconds since 1970. `exitCode` is 128 + n for signal n. */
  | {
      readonly state: 'exited'
      readonly exitCode: number
      readonly signal: number | undefined
      readonly oomKilled: boolean
      readonly startedAt: number
      readonly finishedAt: number
    }

export interface ContainerRecord {
  readonly id: string
  readonly sandboxId: string
  readonly state: ContainerState
}

export interface SandboxRecord {
  readonly id: string
  readonly network: Attachment | undefined
  readonly createdAt: number
}

export interface ExecRequest {
  readonly command: readonly string[]
  readonly tty: boolean
  readonly size?: { readonly width: number; readonly height: number } | undefined
  /** Undefined: no standard input. */
  readonly stdin: AsyncIterable<Uint8Array> | undefined
  /** New sizes of the terminal. */
  readonly resizes: AsyncIterable<{ readonly width: number; readonly height: number }>
  /**
   * Takes a chunk. While it returns a promise that is not settled, nothing more is read of that stream, and the command
   * waits in turn.
   */
  readonly output: (stream: 'stdout' | 'stderr', chunk: Uint8Array) => Promise<void> | void
}

/** A way to a container's standard input. Several may be open at once; what they write is mixed as it comes. */
export interface ContainerInput {
  /** Resolves once it is taken. Of a container that has ended or reads no more: nothing happens. */
  write(chunk: Uint8Array): Promise<void>
  /** Leaves it; with `stdinOnce` the container's input ends with that. */
  close(): Promise<void>
}

export interface RuntimeDriver {
  readonly name: string
  /** Of the program that does the work, e.g. "1.21"; known from `start` on, if at all. */
  readonly version?: string | undefined
  /**
   * Checks that the host can do it (FailedPrecondition names what is missing and the remedy), then reads what exists.
   */
  start(): Promise<void>
  /** Stops watching and ends the commands of exec that are under way; containers live on. */
  stop(): Promise<void>

  createSandbox(spec: SandboxSpec): Promise<SandboxRecord>
  /**
   * A directory in memory, bounded in size, for files of the pod that its containers may write to, such as /etc/hosts.
   * It is there as long as the sandbox. A driver without such a place: the caller finds one.
   */
  podFiles?(sandboxId: string): string
  /** Kills and removes what is left in it. The network is detached by the caller. */
  removeSandbox(id: string): Promise<void>

  /**
   * Makes the container ready to start. Errors name what is wrong with the command as a shell would tell it: NotFound
   * "exec: \"x\": not found" (exit code 127) or FailedPrecondition "… permission denied" (126), in `startFailure` of
   * the error's details. FailedPrecondition too if the container whose processes it is to see does not run.
   */
  createContainer(spec: ContainerSpec): Promise<void>
  startContainer(id: string): Promise<ContainerState>
  /** Sends a signal by name ("SIGTERM") or number to the container's init. An exited container: nothing happens. */
  killContainer(id: string, signal: string): Promise<void>
  /** Ends what still runs of the container (SIGKILL) and leaves nothing of it. Of an unknown id: nothing happens. */
  removeContainer(id: string): Promise<void>
  containerState(id: string): Promise<ContainerState | undefined>

  list(): Promise<{ readonly sandboxes: readonly SandboxRecord[]; readonly containers: readonly ContainerRecord[] }>
  /** Told for each container that ends, also for those that ended while nobody listened (from `start` on). */
  onExit(handler: (container: ContainerRecord) => void): () => void

  /** Runs a command beside the container's own. Its exit code; 126 or 127 with a message when it cannot start. */
  exec(
    id: string,
    request: ExecRequest,
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number; readonly message: string }>
  /** FailedPrecondition: the container does not run, or was made without `stdin`. */
  openInput(id: string): Promise<ContainerInput>
  /**
   * Of a container with `tty`: it has the size when this resolves, and its processes are told. Another one, or one that
   * has ended: nothing happens.
   */
  resizeTerminal(id: string, size: { readonly width: number; readonly height: number }): Promise<void>
  /**
   * Sets the limits of a container that runs. FailedPrecondition: it holds more memory than it may have then, and
   * nothing has changed. NotFound.
   */
  updateContainer(id: string, resources: Resources): Promise<void>
  /** The same for all of a pod together. */
  updateSandbox(id: string, resources: Resources): Promise<void>
  /** Closes the log file and opens a new one under the same path, after the old one was renamed. */
  reopenLog(id: string): Promise<void>
  /** Memory in use and its peak in bytes, cpu time in nanoseconds, processes; undefined once it is gone. */
  stats(
    id: string,
  ): Promise<
    | { readonly memory: number; readonly memoryPeak: number; readonly cpuNanos: number; readonly processes: number }
    | undefined
  >
  /** All that the kernel counts of a container, for monitoring; undefined once it is gone. */
  counters(id: string): Promise<ContainerCounters | undefined>
}

/** Since the container began. Memory is in bytes. What the machine's control groups do not tell is 0. */
export interface ContainerCounters {
  readonly cpuNanos: number
  readonly cpuUserNanos: number
  readonly cpuSystemNanos: number
  /**
   * Periods in which it had a limit of processor time, and of those the ones in which it reached it; and how long it
   * was held back.
   */
  readonly cpuPeriods: number
  readonly cpuThrottledPeriods: number
  readonly cpuThrottledNanos: number
  readonly memoryUsage: number
  readonly memoryPeak: number
  /** Without what the kernel can simply take back. */
  readonly memoryWorkingSet: number
  /** Of processes alone, of files that are cached, of files that are mapped. */
  readonly memoryRss: number
  readonly memoryCache: number
  readonly memoryMapped: number
  readonly pageFaults: number
  readonly majorPageFaults: number
  readonly oomKills: number
  readonly processes: number
}

/**
 * Thrown by createContainer and startContainer when the command itself is at fault: a GantryError whose
 * details[0].field is 'command' and whose value is the exit code.
 */
export const START_FAILURE_FIELD = 'command'
