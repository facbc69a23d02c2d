/**
 * Commands run beside a container's own, by the runtime's `exec`; with a terminal under script(1), which owns the
 * pseudo-terminal.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, constants, openSync, watch } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { Socket } from 'node:net'
import { constants as system } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import { run } from '../../../proto/base/command.ts'
import type { ExecRequest } from '../contract.ts'
import type { OciProcess } from './config.ts'
import { OutputPump } from './output-pump.ts'
import { NOT_EXECUTABLE, lastLogged, startFailure } from './start-failure.ts'
import { resizeTerminal, type TerminalSize } from './terminal.ts'

export interface ExecTarget {
  readonly containerId: string
  /** The container's own: user, environment, directory and capabilities are taken from it. */
  readonly process: OciProcess
  /** Called with its arguments before the verb. */
  readonly runtime: string
  readonly runtimeArgs: readonly string[]
}

export interface ExecResult {
  readonly exitCode: number
  readonly message: string
}

/**
 * Milliseconds after which the runtime itself is killed: ended before its command is known, it would leave that behind.
 */
const KILL_DEADLINE = 5000
/** Tries to set the first size of a terminal, and milliseconds between them. */
const SIZE_TRIES = 50
const SIZE_PAUSE = 10
/** The runtime's own exit code when it could not run the command. */
const RUNTIME_FAILED = 255

type Streams = {
  readonly stdin: Writable | undefined
  readonly outputs: readonly (readonly ['stdout' | 'stderr', Socket])[]
}

export class ExecManager {
  readonly #directory: string
  readonly #clock: Clock
  readonly #underWay = new Set<Promise<ExecResult>>()
  #ending = new AbortController()
  #count = 0

  constructor(directory: string, clock: Clock) {
    this.#directory = directory
    this.#clock = clock
  }

  /** Removes what an earlier process left. */
  async start(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true })
    this.#ending = new AbortController()
  }

  /** Ends every command that is under way: none outlives the one who asked for it. */
  async stop(): Promise<void> {
    this.#ending.abort(new GantryError('Cancelled', 'the agent ends, and its commands with it'))
    await Promise.allSettled(this.#underWay)
  }

  async run(target: ExecTarget, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    const running = this.#begin(target, request, AbortSignal.any([signal, this.#ending.signal]))
    this.#underWay.add(running)
    try {
      return await running
    } finally {
      this.#underWay.delete(running)
    }
  }

  async #begin(target: ExecTarget, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
    const directory = join(this.#directory, `${process.pid}-${++this.#count}`)
    await mkdir(directory, { recursive: true, mode: 0o700 })
    try {
      return await this.#run(directory, target, request, signal)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  async #run(directory: string, target: ExecTarget, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    const log = join(directory, 'log')
    const { env } = target.process
    const named = env.some((entry) => entry.startsWith('TERM='))
    const size = request.tty ? request.size : undefined
    const process: OciProcess = {
      ...target.process,
      args: request.command,
      terminal: request.tty,
      env: request.tty && !named ? [...env, 'TERM=xterm'] : env,
      ...(size !== undefined && { consoleSize: { height: size.height, width: size.width } }),
    }
    await writeFile(join(directory, 'process.json'), JSON.stringify(process))
    const command = [
      target.runtime,
      ...target.runtimeArgs,
      '--log',
      log,
      '--log-format',
      'json',
      'exec',
      '--process',
      join(directory, 'process.json'),
      '--pid-file',
      join(directory, 'pid'),
      target.containerId,
    ]
    const pid = new PidFile(directory)
    try {
      const { child, streams } = request.tty
        ? underScript(command, size)
        : await withPipes(directory, command, request.stdin !== undefined)
      return await this.#converse(child, streams, pid, request, signal, async () => lastLogged(await readIfThere(log)))
    } finally {
      pid.close()
    }
  }

  async #converse(
    child: ChildProcess,
    streams: Streams,
    pid: PidFile,
    request: ExecRequest,
    signal: AbortSignal,
    complaint: () => Promise<string | undefined>,
  ): Promise<ExecResult> {
    let failure: GantryError | undefined
    let late: Timer | undefined
    const ended = new Promise<number>((resolve, reject) => {
      child.once('exit', (code, killedBy) => resolve(code ?? 128 + (system.signals[killedBy!] ?? 0)))
      child.once('error', (cause) =>
        reject(new GantryError('FailedPrecondition', `cannot start ${child.spawnfile}: ${cause.message}`, { cause })),
      )
    })
    const fail = (thrown: unknown): void => {
      failure ??= GantryError.from(thrown, 'Cancelled')
      output.stop()
      pid.kill()
      late ??= this.#clock.after(KILL_DEADLINE, () => child.kill('SIGKILL'))
    }
    const output = new OutputPump(streams.outputs, request.output, fail, this.#clock)
    const abort = (): void => fail(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    // With a terminal, nothing is typed before the command has it: until then it would be echoed twice.
    const started = Promise.race([pid.written, ended]).then(() =>
      request.tty && request.size !== undefined ? this.#firstSize(pid, request.size, ended) : undefined,
    )
    const pumps = Promise.all([
      request.stdin === undefined ? undefined : started.then(() => feed(request.stdin!, streams.stdin!, ended)),
      request.tty
        ? started.then(() => consume(request.resizes, ended, async (size) => void (await resize(pid, size))))
        : undefined,
    ]).catch(fail)
    try {
      const exitCode = await ended
      await pumps
      await output.drain()
      if (failure !== undefined) throw failure
      return await verdict(exitCode, request.command[0] ?? '', complaint)
    } finally {
      late?.cancel()
      signal.removeEventListener('abort', abort)
      streams.stdin?.destroy()
      for (const [, stream] of streams.outputs) stream.destroy()
    }
  }

  /**
   * The runtime may tell the command's pid a moment before the command has its terminal; it may also never have one, or
   * give it up.
   */
  async #firstSize(pid: PidFile, size: TerminalSize, ended: Promise<unknown>): Promise<void> {
    for (let tries = 0; tries < SIZE_TRIES && !(await resize(pid, size)); tries++) {
      let timer: Timer | undefined
      const over = await Promise.race([
        ended.then(() => true),
        new Promise<false>((resolve) => (timer = this.#clock.after(SIZE_PAUSE, () => resolve(false)))),
      ])
      timer?.cancel()
      if (over) return
    }
  }
}

/** Before the command is there nothing happens: false. */
async function resize({ value }: PidFile, size: TerminalSize): Promise<boolean> {
  return value !== undefined && (await resizeTerminal(run, value, size))
}

async function verdict(
  exitCode: number,
  command: string,
  complaint: () => Promise<string | undefined>,
): Promise<ExecResult> {
  const text = exitCode === RUNTIME_FAILED ? await complaint() : undefined
  if (text === undefined) return { exitCode, message: '' }
  return startFailure(text, command) ?? { exitCode: NOT_EXECUTABLE, message: text }
}

/** The runtime writes the command's pid once it runs. */
class PidFile {
  readonly written: Promise<void>
  value: number | undefined
  readonly #path: string
  readonly #close: () => void
  #kill = false

  constructor(directory: string) {
    this.#path = join(directory, 'pid')
    const watcher = watch(directory)
    this.#close = () => watcher.close()
    this.written = new Promise((resolve, reject) => {
      watcher.on('error', reject)
      watcher.on('change', (_, name) => {
        if (name !== 'pid' || this.value !== undefined) return
        readIfThere(this.#path).then((text) => {
          if (!/^\d+\s*$/.test(text)) return
          this.value = Number(text)
          if (this.#kill) this.kill()
          resolve()
        }, reject)
      })
    })
  }

  /** Ends the command, at once or as soon as it is known. */
  kill(): void {
    this.#kill = true
    if (this.value === undefined) return
    try {
      process.kill(this.value, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw GantryError.from(error)
    }
  }

  close(): void {
    this.#close()
  }
}

/**
 * Under script(1) the runtime has a terminal on its side, makes another one inside the container and copies between the
 * two, runc the size as well.
 */
function underScript(
  command: readonly string[],
  size: TerminalSize | undefined,
): { child: ChildProcess; streams: Streams } {
  const sized = size === undefined ? '' : `stty rows ${Number(size.height)} cols ${Number(size.width)}; `
  const line = `${sized}exec ${command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')}`
  const child = spawn('script', ['--quiet', '--return', '--flush', '--echo', 'never', '--command', line, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { PATH: process.env.PATH, SHELL: '/bin/sh', TERM: 'xterm' },
  })
  return { child, streams: { stdin: child.stdin!, outputs: [['stdout', child.stdout as Socket]] } }
}

/**
 * Real pipes, not the sockets that Node.js would make: a program that opens /dev/stdout gets an error from a socket.
 */
async function withPipes(
  directory: string,
  command: readonly string[],
  stdin: boolean,
): Promise<{ child: ChildProcess; streams: Streams }> {
  const names = ['stdin', 'stdout', 'stderr']
  await run('mkfifo', ['-m', '600', ...names.map((name) => join(directory, name))])
  const pipes = new Map(names.map((name) => [name, openPipe(join(directory, name), name !== 'stdin')]))
  const [input, out, err] = [pipes.get('stdin')!, pipes.get('stdout')!, pipes.get('stderr')!]
  try {
    const child = spawn(command[0]!, command.slice(1), { stdio: [input.theirs, out.theirs, err.theirs] })
    // No input is a pipe that has ended, not the machine's /dev/null: crun gives what a command is given to the
    // container's user.
    if (!stdin) closeSync(input.own)
    return {
      child,
      streams: {
        stdin: stdin ? new Socket({ fd: input.own, readable: false, writable: true }) : undefined,
        outputs: [
          ['stdout', new Socket({ fd: out.own, readable: true, writable: false })],
          ['stderr', new Socket({ fd: err.own, readable: true, writable: false })],
        ],
      },
    }
  } finally {
    for (const { theirs } of pipes.values()) closeSync(theirs)
  }
}

/**
 * Both ends of a FIFO. Ours does not block; theirs does, as programs expect; a third one lets both be opened without
 * waiting for each other.
 */
function openPipe(path: string, reading: boolean): { own: number; theirs: number } {
  const third = openSync(path, constants.O_RDWR)
  try {
    const own = openSync(path, (reading ? constants.O_RDONLY : constants.O_WRONLY) | constants.O_NONBLOCK)
    return { own, theirs: openSync(path, reading ? constants.O_WRONLY : constants.O_RDONLY) }
  } finally {
    closeSync(third)
  }
}

/** Passes items on until they or the command end. */
async function consume<T>(
  items: AsyncIterable<T>,
  ended: Promise<unknown>,
  take: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.asyncIterator]()
  const end = ended.then(() => ({ done: true, value: undefined }) as const)
  for (;;) {
    const next = await Promise.race([iterator.next(), end])
    if (next.done === true) return
    await Promise.race([take(next.value), end])
  }
}

async function feed(items: AsyncIterable<Uint8Array>, stdin: Writable, ended: Promise<unknown>): Promise<void> {
  let gone = false
  stdin.once('error', () => (gone = true)) // the command does not read on: its exit code tells
  await consume(
    items,
    ended,
    (chunk) =>
      new Promise((resolve) => {
        if (gone) return resolve()
        stdin.write(chunk, () => resolve())
      }),
  )
  stdin.end()
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
