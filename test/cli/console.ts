/** The command line in the test's own process: what it wrote and how it ended. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import type { Environment } from '../../proto/terminal/environment.ts'
import { upsertContext } from '../../proto/client/context.ts'
import { FakeClock, systemClock, type Clock } from '../../proto/base/clock.ts'
import { GrpcApiServer } from '../support/grpc-api-server.ts'

export const NOW = Date.UTC(2026, 0, 31, 12, 0, 0)

/**
 * By import(), as the program itself loads its commands: a test file may have been loaded by require, and what import()
 * loads then are other instances of the same modules, whose errors would not be known here.
 */
async function runGantry(argv: readonly string[], environment: Omit<Environment, 'kinds'>): Promise<number> {
  const [{ runProgram }, { gantry }, { KindRegistry }] = await Promise.all([
    import('../../proto/terminal/program.ts'),
    import('../../cli/gantry.ts'),
    import('../../proto/schema/kind-registry.ts'),
  ])
  return runProgram(argv, { ...environment, kinds: new KindRegistry() }, gantry)
}

export interface Result {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

/** A run under way. */
export interface Running {
  readonly result: Promise<Result>
  readonly stdout: () => string
  readonly interrupt: () => void
  /** Resolves when standard output is as asked. */
  readonly until: (seen: (stdout: string) => boolean) => Promise<void>
}

class Recorder {
  text = ''
  readonly isTTY: boolean | undefined
  readonly columns = 100
  readonly rows = 30
  readonly #seen = new Set<() => void>()

  constructor(terminal: boolean) {
    this.isTTY = terminal || undefined
  }

  write(part: string | Uint8Array): void {
    this.text += typeof part === 'string' ? part : Buffer.from(part).toString('utf8')
    for (const call of this.#seen) call()
  }

  until(seen: (text: string) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!seen(this.text)) return
        this.#seen.delete(look)
        resolve()
      }
      this.#seen.add(look)
      look()
    })
  }
}

export interface RunOptions {
  readonly stdin?: string | PassThrough
  readonly terminal?: boolean
  readonly env?: Record<string, string>
  readonly runOnTerminal?: Environment['runOnTerminal']
  readonly onResize?: Environment['onResize']
}

/** A control plane in memory, a context file that names it, and a directory for manifests. */
export class Console {
  server!: GrpcApiServer
  /** Timers are real, the time of day stands still. */
  readonly clock: Clock = { ...systemClock, now: () => NOW }
  directory = ''

  async open(): Promise<this> {
    this.directory = await mkdtemp(path.join(tmpdir(), 'gantry-cli-'))
    this.server = await GrpcApiServer.start(new FakeClock(NOW))
    await upsertContext(this.configFile, { name: 'test', server: [this.address] })
    return this
  }

  async close(): Promise<void> {
    await this.server.stop()
    await rm(this.directory, { recursive: true, force: true })
  }

  get address(): string {
    return this.server.address
  }

  get configFile(): string {
    return path.join(this.directory, 'config.yaml')
  }

  async file(name: string, text: string): Promise<string> {
    await writeFile(path.join(this.directory, name), text)
    return name
  }

  start(argv: readonly string[], options: RunOptions = {}): Running {
    const { stdin = '', terminal = false } = options
    const stdout = new Recorder(terminal)
    const stderr = new Recorder(terminal)
    const interrupt = new AbortController()
    const input = typeof stdin === 'string' ? PassThrough.from([Buffer.from(stdin)]) : stdin
    const environment: Omit<Environment, 'kinds'> = {
      env: { GANTRY_CONFIG: this.configFile, ...options.env },
      cwd: this.directory,
      stdin: input,
      stdout,
      stderr,
      clock: this.clock,
      signal: interrupt.signal,
      loadConnect: async () => (await import('../../proto/rpc/rpc.ts')).connect,
      onResize: options.onResize ?? (() => () => undefined),
      runOnTerminal: options.runOnTerminal ?? (() => Promise.reject(new Error('no terminal here'))),
    }
    return {
      result: runGantry(argv, environment).then((exit) => ({ exit, stdout: stdout.text, stderr: stderr.text })),
      stdout: () => stdout.text,
      interrupt: () => interrupt.abort(),
      until: (seen) => stdout.until(seen),
    }
  }

  run(argv: readonly string[] | string, options: RunOptions = {}): Promise<Result> {
    return this.start(typeof argv === 'string' ? argv.split(' ') : argv, options).result
  }
}
