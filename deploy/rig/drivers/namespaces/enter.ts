/** Programs on a machine that are started from outside: they join its namespaces, not its cgroup. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, constants, open } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { CommandOptions, CommandResult } from '../../../../proto/base/command.ts'
import { delay, systemClock } from '../../../../proto/base/clock.ts'
import { SIDE, type CgroupTree } from './cgroup-tree.ts'
import { within } from './machine-paths.ts'
import { runProgram, searchPath, withSearchPath } from './programs.ts'

/** Exit codes are looked at here, and those of programs are not nsenter's. */
const ANY = Array.from({ length: 256 }, (_, code) => code)
const NO_SUCH_PROGRAM = 127

function entering(pid: number, directory: string): string[] {
  return ['--target', String(pid), '--mount', '--uts', '--ipc', '--net', '--pid', `--wdns=${directory}`, '--']
}

/**
 * Runs a program in the namespaces of the machine with this init, to its end. It is ended with nsenter when it takes
 * too long.
 */
export async function runOn(
  machine: string,
  pid: number,
  [program, ...args]: readonly [string, ...string[]],
  options: CommandOptions,
): Promise<CommandResult> {
  const { cwd = '/', allow = [0], ...rest } = options
  const result = await runProgram(
    'nsenter',
    [...entering(pid, cwd), 'setpriv', '--pdeathsig', 'KILL', '--', program, ...args],
    { ...rest, allow: ANY },
  )
  if (allow.includes(result.code)) return result
  if (result.code === NO_SUCH_PROGRAM && !(await isProgram(pid, program, options.env)))
    throw new GantryError('NotFound', `there is no program ${program} on machine ${machine}`)
  const detail = result.stderr.trim().slice(-2_000)
  throw new GantryError(
    'Internal',
    `${[program, ...args].slice(0, 4).join(' ')} on machine ${machine} exited with ${result.code}${detail === '' ? '' : `: ${detail}`}`,
    { details: [{ field: 'exitCode', value: String(result.code) }] },
  )
}

async function isProgram(pid: number, program: string, env: NodeJS.ProcessEnv | undefined): Promise<boolean> {
  const paths = program.includes('/')
    ? [program]
    : searchPath(env?.PATH)
        .split(':')
        .map((directory) => join(directory, program))
  const found = await Promise.allSettled(paths.map((path) => access(within(pid, path), constants.X_OK)))
  return found.some(({ status }) => status === 'fulfilled')
}

/** Runs a program with this process's terminal; its exit code, or 128 and the number of the signal that ended it. */
export async function terminalOn(pid: number, command: readonly string[]): Promise<number> {
  const {
    constants: { signals },
  } = await import('node:os')
  return new Promise((resolve, reject) => {
    const child = spawn('nsenter', [...entering(pid, '/'), ...command], { stdio: 'inherit', env: withSearchPath() })
    child.on('error', (cause) =>
      reject(new GantryError('Internal', `cannot start nsenter: ${cause.message}`, { cause })),
    )
    child.on('exit', (code, signal) => resolve(code ?? 128 + signals[signal!]))
  })
}

/** Puts itself into the cgroups of the files named before "--", then becomes the rest. */
const JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1"; shift; done; shift; exec "$@"'

/** A program that goes on by itself: all that it starts is in this group below the machine's. */
export interface Sidecar {
  readonly group: string
}

/** Starts a program beside a machine's own, its output in `log`. */
export async function startSidecar(
  tree: CgroupTree,
  machineGroup: string,
  pid: number,
  command: readonly string[],
  log: string,
): Promise<Sidecar> {
  const group = `${machineGroup}/${SIDE}`
  const own = randomBytes(4).toString('hex')
  const joinFiles = await tree.joinFiles(group, own)
  const output = await open(log, 'a')
  try {
    await new Promise<void>((resolve, reject) => {
      const child = spawn('sh', ['-c', JOIN, 'sh', ...joinFiles, '--', 'nsenter', ...entering(pid, '/'), ...command], {
        detached: true,
        stdio: ['ignore', output.fd, output.fd],
        env: withSearchPath(),
      })
      child.once('spawn', resolve)
      child.once('error', (cause) =>
        reject(new GantryError('Internal', `cannot start sh: ${cause.message}`, { cause })),
      )
      child.unref()
    })
  } finally {
    await output.close()
  }
  return { group: `${group}/${own}` }
}

/** Ends a program and all that it started: asks, and after `patience` milliseconds kills. No error if it has ended. */
export async function endSidecar(tree: CgroupTree, { group }: Sidecar, patience = 2_000): Promise<void> {
  const begun = systemClock.monotonic()
  let signal: NodeJS.Signals | undefined = 'SIGTERM'
  for (;;) {
    const pids = await tree.processes(group)
    if (pids.length === 0) break
    if (systemClock.monotonic() - begun > patience) signal = 'SIGKILL'
    if (signal !== undefined) for (const pid of pids) signalIfThere(pid, signal)
    signal = undefined
    await delay(systemClock, 5)
  }
  await tree.remove(group)
}

export function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
  }
}
