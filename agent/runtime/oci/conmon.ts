/**
 * conmon, the shim of a container (https://github.com/containers/conmon): it calls the runtime to create the container,
 * stays as its parent, writes its log, and leaves its exit code in a file. It outlives the agent: it is in a session of
 * its own. It stays in the agent's control group, since moving a process costs 10 ms and more on an idle machine (the
 * kernel waits for a grace period); so a service manager must be told to end the agent's own process only (systemd:
 * KillMode=process).
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import { ANSWER_DESCRIPTOR, type Launcher } from '../../host/launcher.ts'
import { identify, signalProcess, type ProcessIdentity } from '../../../proto/base/process.ts'
import { logTo } from './start-failure.ts'

export interface ConmonOptions {
  readonly program: string
  readonly runtime: string
  /** Put before the runtime's verb. */
  readonly runtimeArgs: readonly string[]
  /** What the runtime is to find in its environment. */
  readonly runtimeEnv?: Readonly<Record<string, string>>
  readonly exitDirectory: string
  /** Short: paths of sockets have 107 bytes at most, unix(7). */
  readonly socketDirectory: string
  /**
   * Bytes of a log at which conmon begins it anew and drops what was written before: between two rotations a fast
   * writer would fill the disk. Undefined: no limit.
   */
  readonly logSizeMax?: number | undefined
  readonly launcher: Launcher
}

export interface ConmonRequest {
  readonly id: string
  readonly bundle: string
  readonly logPath: string
  readonly tty: boolean
  readonly stdin: boolean
  /** Who leaves the attach socket ends the input. */
  readonly stdinOnce: boolean
}

export interface Supervised {
  readonly init: ProcessIdentity
  readonly conmon: ProcessIdentity
}

/** Milliseconds for the runtime to create a container: far beyond a busy machine's need. */
const CREATE_DEADLINE = 60_000
const SIGKILL = 9

export class Conmon {
  readonly #options: ConmonOptions

  constructor(options: ConmonOptions) {
    this.#options = options
  }

  /**
   * Creates the container of a bundle. Internal with the runtime's words as message when it refuses; DeadlineExceeded.
   */
  async create(request: ConmonRequest): Promise<Supervised> {
    const { program, runtime, runtimeArgs, exitDirectory, socketDirectory, logSizeMax } = this.#options
    const shortId = socketName(request.id)
    const pidFile = `${request.bundle}/conmon.pid`
    const args = [
      '--cid',
      request.id,
      '--cuuid',
      shortId,
      '--name',
      request.id,
      '--bundle',
      request.bundle,
      '--runtime',
      runtime,
      ...[...runtimeArgs, ...logTo(request.bundle)].flatMap((arg) => ['--runtime-arg', arg]),
      '--container-pidfile',
      `${request.bundle}/init.pid`,
      '--conmon-pidfile',
      pidFile,
      '--exit-dir',
      exitDirectory,
      '--socket-dir-path',
      socketDirectory,
      '--log-path',
      `k8s-file:${request.logPath}`,
      '--log-level',
      'error',
      ...(logSizeMax === undefined ? [] : ['--log-size-max', String(logSizeMax)]),
      ...(request.tty ? ['--terminal'] : []),
      ...(request.stdin ? ['--stdin', ...(request.stdinOnce && !request.tty ? [] : ['--leave-stdin-open'])] : []),
    ]
    const pid = await this.#launch(program, args, request.bundle)
    const init = identify(pid)
    const conmon = identifyFrom(pidFile)
    if (init === undefined || conmon === undefined)
      throw new GantryError('Internal', `container ${request.id} ended while it was created`)
    return { init, conmon }
  }

  /** Removes what conmon leaves of a container outside its bundle. */
  async forget(id: string): Promise<void> {
    await rm(join(this.#options.socketDirectory, socketName(id)), { recursive: true, force: true })
  }

  /** The socket where conmon takes input for a container, a packet at a time. */
  attachSocket(id: string): string {
    return join(this.#options.socketDirectory, socketName(id), 'attach')
  }

  /** Makes conmon close the log and open it again under the same path: the message is its control protocol's. */
  async reopenLog(bundle: string): Promise<void> {
    await writeFile(`${bundle}/ctl`, '2 0 0\n', { flag: 'r+' })
  }

  /**
   * Starts conmon, which goes to a session of its own, and waits for its word on the sync pipe: the pid of the
   * container's init, or why there is none. Its foreground writes the pid file as the background goes on, and on a busy
   * machine later than that word comes: it is waited for too. In the bundle's folder, since conmon leaves files where
   * it is, such as `oom`.
   */
  async #launch(program: string, args: readonly string[], bundle: string): Promise<number> {
    const stderr = `${bundle}/conmon.log`
    let answer: string | undefined
    try {
      answer = await this.#options.launcher.answer(program, args, {
        cwd: bundle,
        env: { ...this.#options.runtimeEnv, _OCI_SYNCPIPE: String(ANSWER_DESCRIPTOR) },
        timeout: CREATE_DEADLINE,
        stderr,
      })
    } catch (error) {
      const late = identifyFrom(`${bundle}/conmon.pid`)
      if (late !== undefined) signalProcess(late, SIGKILL)
      throw error
    }
    if (answer === undefined)
      throw new GantryError('Internal', `${program} ended without an answer: ${readFileSync(stderr, 'utf8').trim()}`)
    const {
      pid: answered,
      data = answered,
      message = '',
    } = JSON.parse(answer) as { pid?: number; data?: number; message?: string }
    if (data === undefined || data <= 0)
      throw new GantryError('Internal', message.trim() || readFileSync(stderr, 'utf8').trim())
    return data
  }
}

/** The process whose pid a file has; undefined if the file is not there, or the process has ended. */
function identifyFrom(pidFile: string): ProcessIdentity | undefined {
  try {
    return identify(Number(readFileSync(pidFile, 'utf8').trim()))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The path of a socket is short, the id of a container need not be. */
function socketName(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 16)
}
