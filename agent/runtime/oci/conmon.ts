/**
 * conmon, the shim of a container (https://github.com/containers/conmon): it calls the runtime to create the container, stays as its parent,
 * writes its log, and leaves its exit code in a file. It outlives the agent: it is in a session of its own.
 * It stays in the agent's control group, since moving a process costs 10 ms and more on an idle machine (the kernel waits for a grace period); so a
 * service manager must be told to end the agent's own process only (systemd: KillMode=process).
 */
import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { createHash } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../proto/api/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { logTo } from './start-failure.ts'
import { identify, type ProcessIdentity } from './process.ts'

export interface ConmonOptions {
  readonly program: string
  readonly runtime: string
  /** Put before the runtime's verb. */
  readonly runtimeArgs: readonly string[]
  readonly exitDirectory: string
  /** Short: paths of sockets have 107 bytes at most, unix(7). */
  readonly socketDirectory: string
  readonly clock: Clock
}

export interface ConmonRequest {
  readonly id: string
  readonly bundle: string
  readonly logPath: string
  readonly tty: boolean
  readonly stdin: boolean
}

export interface Supervised {
  readonly init: ProcessIdentity
  readonly conmon: ProcessIdentity
}

/** Milliseconds for the runtime to create a container: far beyond a busy machine's need. */
const CREATE_DEADLINE = 60_000
/** Number of the inherited descriptor for its answer, told to conmon in its environment. */
const SYNC_FD = 3

export class Conmon {
  readonly #options: ConmonOptions

  constructor(options: ConmonOptions) {
    this.#options = options
  }

  /** Creates the container of a bundle. Internal with the runtime's words as message when it refuses; DeadlineExceeded. */
  async create(request: ConmonRequest): Promise<Supervised> {
    const { program, runtime, runtimeArgs, exitDirectory, socketDirectory } = this.#options
    const shortId = socketName(request.id)
    const pidFile = `${request.bundle}/conmon.pid`
    const args = [
      '--cid', request.id, '--cuuid', shortId, '--name', request.id, '--bundle', request.bundle, '--runtime', runtime,
      ...[...runtimeArgs, ...logTo(request.bundle)].flatMap((arg) => ['--runtime-arg', arg]),
      '--container-pidfile', `${request.bundle}/init.pid`, '--conmon-pidfile', pidFile, '--exit-dir', exitDirectory,
      '--socket-dir-path', socketDirectory, '--log-path', `k8s-file:${request.logPath}`, '--log-level', 'error',
      ...(request.tty ? ['--terminal'] : []), ...(request.stdin ? ['--stdin', '--leave-stdin-open'] : []),
    ]
    const answer = await this.#launch(program, args)
    const init = await identify(answer)
    const conmon = await identify(Number((await readFile(pidFile, 'utf8')).trim()))
    if (init === undefined || conmon === undefined) throw new GantryError('Internal', `container ${request.id} ended while it was created`)
    return { init, conmon }
  }

  /** Removes what conmon leaves of a container outside its bundle. */
  async forget(id: string): Promise<void> {
    await rm(join(this.#options.socketDirectory, socketName(id)), { recursive: true, force: true })
  }

  /** Makes conmon close the log and open it again under the same path: the message is its control protocol's. */
  async reopenLog(bundle: string): Promise<void> {
    await writeFile(`${bundle}/ctl`, '2 0 0\n', { flag: 'r+' })
  }

  /** Starts conmon in a session of its own and waits for its word on the sync pipe: the pid of the container's init, or why there is none. */
  async #launch(program: string, args: readonly string[]): Promise<number> {
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, _OCI_SYNCPIPE: String(SYNC_FD) },
    })
    const sync = child.stdio[SYNC_FD] as Readable
    const stderr: Buffer[] = []
    child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk))
    const failed = new Promise<never>((_, reject) => {
      child.once('error', (cause) => reject(new GantryError('FailedPrecondition', `cannot start ${program}: ${cause.message}`, { cause })))
    })
    try {
      const answer = await Promise.race([firstLine(sync, this.#options.clock), failed])
      if (answer === undefined) throw new GantryError('Internal', `${program} ended without an answer: ${Buffer.concat(stderr).toString().trim()}`)
      const { pid: answered, data = answered, message = '' } = JSON.parse(answer) as { pid?: number; data?: number; message?: string }
      if (data === undefined || data <= 0) throw new GantryError('Internal', message.trim() || Buffer.concat(stderr).toString().trim())
      return data
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    } finally {
      sync.destroy()
      child.stderr!.destroy()
      child.unref()
    }
  }
}

/** The first line of a stream; undefined if it ends before. DeadlineExceeded after CREATE_DEADLINE. */
function firstLine(stream: Readable, clock: Clock): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let text = ''
    const timer = clock.after(CREATE_DEADLINE, () => reject(new GantryError('DeadlineExceeded', `no container after ${CREATE_DEADLINE} ms`)))
    const settle = (finish: () => void): void => {
      timer.cancel()
      finish()
    }
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const end = text.indexOf('\n')
      if (end >= 0) settle(() => resolve(text.slice(0, end)))
    })
    stream.on('end', () => settle(() => resolve(text === '' ? undefined : text)))
    stream.on('close', () => settle(() => resolve(undefined)))
    stream.on('error', (cause) => settle(() => reject(GantryError.from(cause))))
  })
}

/** The path of a socket is short, the id of a container need not be. */
function socketName(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 16)
}
