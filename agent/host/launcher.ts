/**
 * Starts programs from a process that stays small. Node.js starts one by copying the table of all its own memory, which
 * stops the agent for some milliseconds each time; so a shell is kept, to be told what to run.
 *
 *   agent ── commands ──▶ sh ──▶ program            one line back for each: <number> pid <pid>, <number> exit <code>
 *     ▲                                             its input and outputs are files, one set for each command under way
 *     └────── pids and exit codes ── sh
 *
 * The shell ends with the agent, when its input does; programs under way then run to their end.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { CommandOptions, CommandResult } from '../../proto/base/command.ts'

/** Runs a program to its end; `run` of proto/base/command.ts and `Launcher.run` are two ways to. */
export type Run = (
  program: string,
  args: readonly string[],
  options?: CommandOptions & { readonly stdin?: string | Uint8Array },
) => Promise<CommandResult>

export interface AnswerOptions {
  /** Where it runs. */
  readonly cwd: string
  /** Beside PATH. */
  readonly env: Readonly<Record<string, string>>
  /** Milliseconds: DeadlineExceeded. */
  readonly timeout: number
  /** File for its standard error. */
  readonly stderr: string
}

/** A command under way. */
interface Pending {
  readonly started: (pid: number) => void
  readonly ended: (code: number) => void
  readonly failed: (error: GantryError) => void
}

interface Shell {
  readonly child: ChildProcess
  readonly pending: Map<number, Pending>
}

const DEFAULT_TIMEOUT = 30_000
/** What a shell answers for a program that is not there: POSIX.1-2017, 2.8.2. */
const NOT_FOUND = 127
/** Where the program of `answer` writes to. */
export const ANSWER_DESCRIPTOR = 3

export class Launcher {
  readonly #directory: string
  readonly #clock: Clock
  /** Places that nobody uses; beyond them the next is `#places`. */
  readonly #free: number[] = []
  #places = 0
  #count = 0
  #shell: Shell | undefined

  /** `directory`: for inputs and outputs of programs under way, best in memory. */
  constructor(directory: string, clock: Clock) {
    this.#directory = directory
    this.#clock = clock
  }

  /**
   * As `run` of proto/base/command.ts, with the same errors, but for a program killed by a signal (its exit code is 128
   * and the signal's number) and for the environment: PATH, and what `env` says beside it.
   */
  readonly run: Run = async (program, args, options = {}) => {
    const { allow = [0], stdin, timeout = DEFAULT_TIMEOUT, signal } = options
    if (signal?.aborted === true) throw GantryError.from(signal.reason, 'Cancelled')
    const result = await this.#submit(
      (number, file) => {
        if (stdin !== undefined) writeFileSync(file('in'), stdin, { mode: 0o600 })
        const command = `${words(program, args, options.env)} <${stdin === undefined ? '/dev/null' : quote(file('in'))} >${quote(file('out'))} 2>${quote(file('err'))}`
        const whole = `${command} & echo ${number} pid $!; wait $!; echo ${number} exit $?`
        return options.cwd === undefined
          ? whole
          : `if cd ${quote(options.cwd)} 2>${quote(file('err'))}; then ${whole}; else : >${quote(file('out'))}; echo ${number} exit 1; fi`
      },
      timeout,
      signal,
      true,
    )
    const { code } = result
    if (allow.includes(code)) return result
    const detail = result.stderr.trim().slice(-2000)
    if (code === NOT_FOUND) throw new GantryError('NotFound', `cannot start ${program}: ${detail}`)
    throw new GantryError(
      'Internal',
      `${program} ${args.slice(0, 3).join(' ')} exited with ${code}${detail === '' ? '' : `: ${detail}`}`,
      { details: [{ field: 'exitCode', value: String(code) }] },
    )
  }

  /**
   * Starts a program that goes on in the background by itself, and waits until it has written a first line to
   * ANSWER_DESCRIPTOR and its foreground has ended, which may write down what the caller looks for next; undefined if
   * the descriptor is closed without a line. A program that does not come so far in time is left running:
   * DeadlineExceeded.
   */
  async answer(
    program: string,
    args: readonly string[],
    { cwd, env, timeout, stderr }: AnswerOptions,
  ): Promise<string | undefined> {
    const { stdout } = await this.#submit(
      (number, file) => {
        const command = `${words(program, args, env)} ${ANSWER_DESCRIPTOR}>&1 </dev/null >/dev/null 2>${quote(stderr)}`
        const read = `{ IFS= read -r line; printf %s "$line" >${quote(file('out'))}; }`
        // The shell goes on when both sides of the pipe have ended.
        return `: >${quote(file('err'))}; { cd ${quote(cwd)} && ${command}; } | ${read}; echo ${number} exit 0`
      },
      timeout,
      undefined,
      false,
    )
    return stdout === '' ? undefined : stdout
  }

  /** Ends the shell; what is under way goes on untold. */
  stop(): void {
    this.#shell?.child.stdin!.end()
    this.#fail(this.#shell, new GantryError('Cancelled', 'the launcher is stopped'))
    this.#shell = undefined
  }

  /**
   * Resolves at the command's end, whatever its exit code; rejects once it was killed for being late or unwanted, or at
   * once if it cannot be.
   */
  #submit(
    command: (number: number, file: (kind: 'in' | 'out' | 'err') => string) => string,
    timeout: number,
    signal: AbortSignal | undefined,
    killable: boolean,
  ): Promise<CommandResult> {
    const number = ++this.#count
    const shell = (this.#shell ??= this.#begin())
    const place = this.#free.pop() ?? this.#places++
    const file = (kind: string): string => join(this.#directory, `${kind}.${place}`)
    const text = command(number, file)
    return new Promise((resolve, reject) => {
      let failure: GantryError | undefined
      let running: number | undefined
      const end = (error: GantryError): void => {
        failure ??= error
        if (running !== undefined) kill(running)
        else if (!killable) reject(failure)
      }
      const settle = (): void => {
        timer.cancel()
        signal?.removeEventListener('abort', abort)
        shell.pending.delete(number)
        if (shell.pending.size === 0) hold(shell, false)
      }
      const abort = (): void => end(GantryError.from(signal!.reason, 'Cancelled'))
      const timer = this.#clock.after(timeout, () =>
        end(new GantryError('DeadlineExceeded', `no end after ${timeout} ms`)),
      )
      signal?.addEventListener('abort', abort, { once: true })
      if (shell.pending.size === 0) hold(shell, true)
      shell.pending.set(number, {
        started: (pid) => {
          running = pid
          if (failure !== undefined) kill(pid)
        },
        ended: (code) => {
          settle()
          try {
            if (failure !== undefined) reject(failure)
            else resolve({ code, stdout: readFileSync(file('out'), 'utf8'), stderr: readFileSync(file('err'), 'utf8') })
          } catch (thrown) {
            reject(GantryError.from(thrown))
          }
          this.#free.push(place)
        },
        failed: (error) => {
          settle()
          reject(failure ?? error)
        },
      })
      // In a subshell of a subshell: the shell itself waits for nobody and has no child to reap.
      shell.child.stdin!.write(`( ( ${text} ) & )\n`)
    })
  }

  #begin(): Shell {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    const child = spawn('/bin/sh', [], {
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { PATH: process.env.PATH },
    })
    const shell: Shell = { child, pending: new Map() }
    hold(shell, false)
    let text = ''
    child.stdout!.on('data', (chunk: Buffer) => {
      const lines = (text + chunk.toString()).split('\n')
      text = lines.pop()!
      for (const line of lines) this.#told(shell, line)
    })
    const gone = (cause?: Error): void => {
      if (this.#shell === shell) this.#shell = undefined
      this.#fail(
        shell,
        new GantryError('Internal', `the launcher's shell ended${cause === undefined ? '' : `: ${cause.message}`}`, {
          cause,
        }),
      )
    }
    child.on('error', gone)
    // Not 'close': a command under way may hold its output open.
    child.on('exit', () => gone())
    child.stdin!.on('error', gone)
    return shell
  }

  #told(shell: Shell, line: string): void {
    const [number, what, value] = line.split(' ')
    const pending = shell.pending.get(Number(number))
    if (what === 'pid') pending?.started(Number(value))
    else pending?.ended(Number(value))
  }

  #fail(shell: Shell | undefined, error: GantryError): void {
    for (const { failed } of [...(shell?.pending.values() ?? [])]) failed(error)
  }
}

/** Node.js goes on while it waits for an answer, and no longer. */
function hold({ child }: Shell, on: boolean): void {
  for (const part of [child, child.stdin as Socket, child.stdout as Socket])
    if (on) part.ref()
    else part.unref()
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw GantryError.from(thrown)
  }
}

function words(program: string, args: readonly string[], env: NodeJS.ProcessEnv | undefined): string {
  const settings = Object.entries(env ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [`${variable(name)}=${quote(value)}`],
  )
  return [...settings, quote(program), ...args.map(quote)].join(' ')
}

function variable(name: string): string {
  if (!/^[A-Za-z_]\w*$/.test(name))
    throw new GantryError('InvalidArgument', `"${name}" cannot name an environment variable`)
  return name
}

/** One word, whatever is in it. */
function quote(text: string): string {
  if (text.includes('\0')) throw new GantryError('InvalidArgument', 'an argument contains a zero byte')
  return `'${text.replaceAll("'", `'\\''`)}'`
}
