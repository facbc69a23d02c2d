/** Child processes: the one place that starts them. Arguments are a list, never a shell line. */
import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { GantryError } from './errors.ts'
import { systemClock } from './clock.ts'

export interface CommandOptions {
  /** Milliseconds until it is killed (default 30,000): DeadlineExceeded. */
  readonly timeout?: number
  readonly signal?: AbortSignal | undefined
  /** A stream is read to its end; when it fails the program is killed, and its error is the failure. */
  readonly stdin?: string | Uint8Array | Readable
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Exit codes that are no failure (default 0). */
  readonly allow?: readonly number[]
}

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a program to its end. A failure is a GantryError with the end of its standard error as text: NotFound (no such
 * program), DeadlineExceeded, Cancelled, or `Internal` for another exit code, which stands as `value` in the details
 * with field "exitCode".
 */
export function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { timeout = 30_000, signal, allow = [0] } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(GantryError.from(signal.reason, 'Cancelled'))
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env,
      stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    let failure: GantryError | undefined
    const kill = (error: GantryError): void => {
      failure ??= error
      child.kill('SIGKILL')
    }
    const timer = systemClock.after(timeout, () =>
      kill(new GantryError('DeadlineExceeded', `${program} took longer than ${timeout} ms`)),
    )
    const abort = (): void => kill(GantryError.from(signal!.reason, 'Cancelled'))
    signal?.addEventListener('abort', abort, { once: true })
    child.stdout!.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk))
    child.stdin?.on('error', () => undefined) // a program that ends without reading its input: its exit code tells
    if (options.stdin instanceof Readable) {
      options.stdin.on('error', (error) => kill(GantryError.from(error)))
      options.stdin.pipe(child.stdin!)
    } else child.stdin?.end(options.stdin)
    const settle = (): void => {
      if (options.stdin instanceof Readable) options.stdin.destroy()
      timer.cancel()
      signal?.removeEventListener('abort', abort)
    }
    child.on('error', (cause) => {
      settle()
      reject(
        new GantryError(
          (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'NotFound' : 'Internal',
          `cannot start ${program}: ${cause.message}`,
          { cause },
        ),
      )
    })
    child.on('close', (code, killedBy) => {
      settle()
      if (failure !== undefined) return reject(failure)
      const result = {
        code: code ?? 128,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      }
      if (code !== null && allow.includes(code)) return resolve(result)
      const detail = result.stderr.trim().slice(-2000)
      const ending = code === null ? `was ended by ${killedBy}` : `exited with ${code}`
      reject(
        new GantryError(
          'Internal',
          `${program} ${args.slice(0, 3).join(' ')} ${ending}${detail === '' ? '' : `: ${detail}`}`,
          { details: [{ field: 'exitCode', value: String(code ?? killedBy) }] },
        ),
      )
    })
  })
}
