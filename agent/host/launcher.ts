/**
 * Starts programs from processes that stay small. Node.js starts one by copying the table of all its own memory, which
 * stops the agent for some milliseconds each time; so a few shells are kept, each to be told what to run next.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { CommandOptions, CommandResult } from '../../proto/base/command.ts'
import { WorkerShell } from './worker-shell.ts'

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

/** A command that waits for a shell, or for its end. */
interface Command<T = unknown> {
  /** What the shell is told. Throws if it cannot be told. */
  readonly script: (shell: WorkerShell) => string
  /** What the caller gets for the line that the shell answers with. */
  readonly result: (line: string, shell: WorkerShell) => T
  readonly timeout: number
  readonly signal: AbortSignal | undefined
  /** Whether it is killed when it is late; if not, it is left running. */
  readonly killable: boolean
}

const DEFAULT_TIMEOUT = 30_000
/** What a shell answers for a program that is not there: POSIX.1-2017, 2.8.2. */
const NOT_FOUND = 127
/** Where the program of `answer` writes to. */
export const ANSWER_DESCRIPTOR = 3
/** Programs that run at once; further ones wait for their turn. */
const MAX_SHELLS = 16
/** Shells that are kept when there is little to do. */
const KEPT_SHELLS = 4
/** Milliseconds after which shells beyond these are ended. */
const IDLE_TIMEOUT = 30_000
/** Milliseconds between two tries to kill a program that does not end, or has not begun yet. */
const KILL_INTERVAL = 20

export class Launcher {
  readonly #directory: string
  readonly #clock: Clock
  readonly #shells = new Set<WorkerShell>()
  /** The one that was used last is the last. */
  #idle: WorkerShell[] = []
  /** Whose programs are late and do not end: they do not count. */
  readonly #stuck = new Set<WorkerShell>()
  readonly #queue: ((shell: WorkerShell) => void)[] = []
  /** Numbers of shells that have ended idle; beyond them the next is `#count`. */
  readonly #numbers: number[] = []
  #count = 0
  #rest: Timer | undefined

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
    const { allow = [0], stdin, timeout = DEFAULT_TIMEOUT, signal, cwd } = options
    if (signal?.aborted === true) throw GantryError.from(signal.reason, 'Cancelled')
    const command = words(program, args, options.env)
    const result = await this.#submit({
      script: (shell) => {
        if (stdin !== undefined) writeFileSync(shell.file('in'), stdin, { mode: 0o600 })
        const [out, err] = [quote(shell.file('out')), quote(shell.file('err'))]
        const whole = `${command} <${stdin === undefined ? '/dev/null' : quote(shell.file('in'))} >${out} 2>${err}`
        return cwd === undefined
          ? `${whole}; echo $?`
          : `if cd ${quote(cwd)} 2>${err}; then ${whole}; code=$?; cd /; echo $code; else : >${out}; echo 1; fi`
      },
      result: (line, shell) => ({
        code: Number(line),
        stdout: readFileSync(shell.file('out'), 'utf8'),
        stderr: readFileSync(shell.file('err'), 'utf8'),
      }),
      timeout,
      signal,
      killable: true,
    })
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
    const command = `${words(program, args, env)} ${ANSWER_DESCRIPTOR}>&1 </dev/null >/dev/null 2>${quote(stderr)}`
    const line = await this.#submit({
      script: (shell) => {
        const out = quote(shell.file('out'))
        // The shell goes on when both sides of the pipe have ended.
        const whole = `${command} | { IFS= read -r line; printf %s "$line" >${out}; }`
        return `: >${out}; if cd ${quote(cwd)}; then ${whole}; cd /; fi; echo`
      },
      result: (_, shell) => readFileSync(shell.file('out'), 'utf8'),
      timeout,
      signal: undefined,
      killable: false,
    })
    return line === '' ? undefined : line
  }

  /** Ends the shells; what is under way goes on untold. */
  stop(): void {
    this.#rest?.cancel()
    this.#rest = undefined
    this.#queue.length = 0
    this.#idle = []
    for (const shell of this.#shells) shell.end()
    this.#shells.clear()
  }

  /** Rejects once the program was killed for being late or unwanted, or at once if it cannot be. */
  #submit<T>(command: Command<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const { signal } = command
      const begin = (shell: WorkerShell): void => {
        signal?.removeEventListener('abort', unqueue)
        this.#carryOut(shell, command).then(resolve, reject)
      }
      const unqueue = (): void => {
        this.#queue.splice(this.#queue.indexOf(begin), 1)
        reject(GantryError.from(signal!.reason, 'Cancelled'))
      }
      const shell = this.#idle.pop() ?? this.#another()
      if (shell !== undefined) return begin(shell)
      signal?.addEventListener('abort', unqueue, { once: true })
      this.#queue.push(begin)
    })
  }

  #carryOut<T>(shell: WorkerShell, { script, result, timeout, signal, killable }: Command<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let failure: GantryError | undefined
      let killing: Timer | undefined
      const kill = (): void => {
        shell.kill()
        killing = this.#clock.after(KILL_INTERVAL, kill)
      }
      const end = (error: GantryError): void => {
        if (failure !== undefined) return
        failure = error
        this.#stuck.add(shell)
        if (killable) kill()
        else reject(failure)
      }
      const abort = (): void => end(GantryError.from(signal!.reason, 'Cancelled'))
      const timer = this.#clock.after(timeout, () =>
        end(new GantryError('DeadlineExceeded', `no end after ${timeout} ms`)),
      )
      const settle = (): void => {
        timer.cancel()
        killing?.cancel()
        signal?.removeEventListener('abort', abort)
        this.#stuck.delete(shell)
      }
      signal?.addEventListener('abort', abort, { once: true })
      try {
        shell.give(script(shell), {
          answered: (line) => {
            settle()
            try {
              if (failure !== undefined) reject(failure)
              else resolve(result(line, shell))
            } catch (thrown) {
              reject(GantryError.from(thrown))
            }
            this.#release(shell)
          },
          failed: (error) => {
            settle()
            reject(failure ?? error)
          },
        })
      } catch (thrown) {
        settle()
        this.#release(shell)
        reject(GantryError.from(thrown))
      }
    })
  }

  /** Undefined: there are as many as may be. */
  #another(): WorkerShell | undefined {
    if (this.#shells.size - this.#stuck.size >= MAX_SHELLS) return undefined
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    const shell: WorkerShell = new WorkerShell(this.#directory, this.#numbers.pop() ?? ++this.#count, () => {
      this.#shells.delete(shell)
      this.#idle = this.#idle.filter((other) => other !== shell)
      this.#next()
    })
    this.#shells.add(shell)
    return shell
  }

  #release(shell: WorkerShell): void {
    if (!this.#shells.has(shell)) return
    this.#idle.push(shell)
    this.#next()
    if (this.#idle.length > KEPT_SHELLS) this.#rest ??= this.#clock.after(IDLE_TIMEOUT, () => this.#endIdle())
  }

  /** Whoever waits is served, as far as there are shells. */
  #next(): void {
    if (this.#queue.length === 0) return
    const shell = this.#idle.pop() ?? this.#another()
    if (shell !== undefined) this.#queue.shift()!(shell)
  }

  #endIdle(): void {
    this.#rest = undefined
    for (const shell of this.#idle.splice(0, Math.max(0, this.#idle.length - KEPT_SHELLS))) {
      this.#shells.delete(shell)
      shell.end()
      this.#numbers.push(shell.number)
    }
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
