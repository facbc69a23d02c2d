/**
 * Programs on a machine that are started from outside, by the engine's exec: they are in its namespaces, and not in the
 * cgroup that is frozen.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { PassThrough, type Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { GantryError } from '../../../../proto/base/errors.ts'
import { systemClock } from '../../../../proto/base/clock.ts'
import type { CommandOptions, CommandResult } from '../../../../proto/base/command.ts'
import { engineError, hasStatus, type DockerClient } from '../../../docker-engine.ts'

type ApiContainer = ReturnType<DockerClient['getContainer']>
type ExecOptions = Parameters<ApiContainer['exec']>[0]

/** A program and all that it starts carry it in their environment: the engine can start programs, not end them. */
const MARK = 'GANTRY_STARTED_AS'
/** Exit codes of the engine's runtime for a program that cannot be started. */
const CANNOT_START = [126, 127]
/** Milliseconds that a program has to end in when it is asked to. */
const GRACE = 2_000
const PATIENCE = 30_000

export interface Target {
  readonly container: ApiContainer
  /** For messages. */
  readonly machine: string
}

/** Runs a program to its end. Errors as of `run` in proto/base/command.ts; FailedPrecondition if the machine is off. */
export async function runOn(
  target: Target,
  command: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { timeout = PATIENCE, signal, stdin, cwd = '/', env, allow = [0] } = options
  if (signal?.aborted === true) throw GantryError.from(signal.reason, 'Cancelled')
  const mark = randomBytes(8).toString('hex')
  const words = command.slice(0, 4).join(' ')
  const exec = await create(target, command, {
    AttachStdin: stdin !== undefined,
    AttachStdout: true,
    AttachStderr: true,
    WorkingDir: cwd,
    Env: [...environment(env), `${MARK}=${mark}`],
  })
  const stream = await begin(target, exec, { hijack: true, stdin: stdin !== undefined })
  let failure: GantryError | undefined
  const end = (error: GantryError): void => {
    failure ??= error
    void killMarked(target, mark, 'KILL').catch((thrown: unknown) => stream.destroy(GantryError.from(thrown)))
  }
  const timer = systemClock.after(timeout, () =>
    end(new GantryError('DeadlineExceeded', `${words} on machine ${target.machine} took longer than ${timeout} ms`)),
  )
  const abort = (): void => end(GantryError.from(signal!.reason, 'Cancelled'))
  signal?.addEventListener('abort', abort, { once: true })
  try {
    if (stdin !== undefined) stream.end(stdin)
    const [stdout, stderr] = await outputOf(target, stream)
    if (failure !== undefined) throw failure
    const { ExitCode } = await exec.inspect()
    const code = ExitCode ?? 128
    if (allow.includes(code)) return { code, stdout, stderr }
    if (CANNOT_START.includes(code) && !(await isProgram(target, command[0]!)))
      throw new GantryError('NotFound', `there is no program ${command[0]} on machine ${target.machine}`)
    const detail = stderr.trim().slice(-2_000)
    throw new GantryError(
      'Internal',
      `${words} on machine ${target.machine} exited with ${code}${detail === '' ? '' : `: ${detail}`}`,
      { details: [{ field: 'exitCode', value: String(code) }] },
    )
  } finally {
    timer.cancel()
    signal?.removeEventListener('abort', abort)
  }
}

async function isProgram(target: Target, program: string): Promise<boolean> {
  return (await runOn(target, ['sh', '-c', 'command -v "$0"', program], { allow: [0, 1, 127] })).code === 0
}

/** Starts a program that goes on by itself, its output in `log`; the mark by which it is ended. */
export async function startOn(target: Target, command: readonly string[], log: string): Promise<string> {
  const mark = randomBytes(8).toString('hex')
  const exec = await create(
    target,
    ['sh', '-c', 'log=$1; shift; exec "$@" < /dev/null >> "$log" 2>&1', 'sh', log, ...command],
    { Env: [`${MARK}=${mark}`] },
  )
  try {
    await exec.start({ Detach: true })
  } catch (thrown) {
    throw offOr(thrown, target)
  }
  return mark
}

/** Ends what `startOn` began, with all that it started: asks, then kills. No error if it, or the machine, has ended. */
export async function endOn(target: Target, mark: string): Promise<void> {
  const begun = systemClock.monotonic()
  const late = (): boolean => systemClock.monotonic() - begun > GRACE
  try {
    for (let signal: string = 'TERM'; await killMarked(target, mark, signal); signal = late() ? 'KILL' : '0');
  } catch (thrown) {
    if (!GantryError.is(thrown, 'FailedPrecondition')) throw thrown
  }
}

/** A program with this process's terminal; its exit code. */
export async function terminalOn(target: Target, command: readonly string[]): Promise<number> {
  const { stdin, stdout } = process
  const isTerminal = stdin.isTTY
  const exec = await create(target, command, {
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Tty: isTerminal,
    Env: [`TERM=${process.env.TERM ?? 'dumb'}`],
  })
  const stream = await begin(target, exec, { hijack: true, stdin: true, Tty: isTerminal })
  const resize = (): void =>
    void exec.resize({ h: stdout.rows, w: stdout.columns }).catch((thrown: unknown) => stream.destroy(thrown as Error))
  if (isTerminal) {
    stdin.setRawMode(true)
    stdout.on('resize', resize)
    resize()
    stream.pipe(stdout, { end: false })
  } else target.container.modem.demuxStream(stream, stdout, process.stderr)
  stdin.pipe(stream)
  try {
    await new Promise<void>((resolve, reject) => stream.once('end', resolve).once('error', reject))
  } finally {
    stdin.unpipe(stream)
    stdin.pause()
    if (isTerminal) stdin.setRawMode(false)
    stdout.off('resize', resize)
  }
  return (await exec.inspect()).ExitCode ?? 128 + constants.signals.SIGKILL
}

/**
 * Signals the processes that carry a mark ("0": none, only looks); whether there are any. Ended ones that nobody has
 * waited for have no environment.
 */
async function killMarked(target: Target, mark: string, signal: string): Promise<boolean> {
  const script =
    'found=1; for file in /proc/[0-9]*/environ; do grep -qsF "$0" "$file" || continue; found=0; pid=${file#/proc/}; kill -s "$1" "${pid%/environ}" 2> /dev/null || :; done; exit $found'
  return (await runOn(target, ['sh', '-c', script, `${MARK}=${mark}`, signal], { allow: [0, 1] })).code === 0
}

async function create(
  { container, machine }: Target,
  command: readonly string[],
  options: Omit<ExecOptions, 'Cmd'>,
): Promise<Awaited<ReturnType<ApiContainer['exec']>>> {
  if (command.length === 0) throw new GantryError('InvalidArgument', 'a command has at least one word')
  try {
    return await container.exec({ ...options, Cmd: [...command] })
  } catch (thrown) {
    throw offOr(thrown, { container, machine })
  }
}

async function begin(
  target: Target,
  exec: Awaited<ReturnType<ApiContainer['exec']>>,
  options: { hijack: true; stdin: boolean; Tty?: boolean },
): Promise<Duplex> {
  try {
    return await exec.start(options)
  } catch (thrown) {
    throw offOr(thrown, target)
  }
}

/** Standard output and error, once the program has closed both. */
async function outputOf({ container, machine }: Target, stream: Duplex): Promise<[string, string]> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  container.modem.demuxStream(stream, stdout, stderr)
  const close = (error?: Error | null): void => {
    for (const end of [stdout, stderr]) {
      if (error) end.destroy(engineError(error, `reading from machine ${machine}`))
      else end.end()
    }
  }
  stream.once('end', close).once('error', close).once('close', close)
  const [out, err] = await Promise.all([buffer(stdout), buffer(stderr)])
  return [out.toString(), err.toString()]
}

function environment(env: NodeJS.ProcessEnv = {}): string[] {
  return Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
}

/** The engine answers 409 for a container that does not run, 404 for one that is gone. */
function offOr(thrown: unknown, { machine }: Target): GantryError {
  if (hasStatus(thrown, 404, 409))
    return new GantryError('FailedPrecondition', `machine ${machine} is off`, { cause: thrown })
  return engineError(thrown, `starting a program on machine ${machine}`)
}
