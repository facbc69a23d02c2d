/**
 * The command line in the test's own process: what it wrote and how it ended. It saves the start of a process
 * for each command; the built programs are run by the tests of rigs and of the package.
 */
import { PassThrough } from 'node:stream'
import type { Clock } from '../../proto/base/clock.ts'
import type { Environment } from '../../proto/terminal/environment.ts'

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

/** Where it runs. */
export interface CommandLinePlace {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly clock: Clock
}

export function startGantry(
  argv: readonly string[],
  { env, cwd, clock }: CommandLinePlace,
  options: RunOptions = {},
): Running {
  const { stdin = '', terminal = false } = options
  const stdout = new Recorder(terminal)
  const stderr = new Recorder(terminal)
  const interrupt = new AbortController()
  const environment: Omit<Environment, 'kinds'> = {
    env: { ...env, ...options.env },
    cwd,
    stdin: typeof stdin === 'string' ? PassThrough.from([Buffer.from(stdin)]) : stdin,
    stdout,
    stderr,
    clock,
    signal: interrupt.signal,
    loadConnect: async () => (await import('../../proto/rpc/light/connect.ts')).connect,
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
