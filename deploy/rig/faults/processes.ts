/** Processes of a machine, found by their command lines and signalled from inside. */
import { GantryError } from '../../../proto/base/errors.ts'
import { delay, type Clock } from '../../../proto/base/clock.ts'
import type { Machine, ProgramName } from '../contract.ts'
import type { Program } from './target.ts'

export interface MachineProcess {
  /** As the machine sees it. */
  readonly pid: number
  readonly command: readonly string[]
}

export type Signal = 'KILL' | 'STOP' | 'CONT'

/** What the programs that others start are called; those of init are known by their whole command line. */
export const EXECUTABLE: Partial<Record<ProgramName, string>> = { etcd: 'etcd', nats: 'nats-server' }
/** At most what the kernel keeps of a host name: https://man7.org/linux/man-pages/man7/hostname.7.html */
const HOSTNAME_LIMIT = 63
/** Milliseconds for processes to end after SIGKILL. */
const ENDING = 5_000
const LOOK = 5

/** Every process of a machine that has a command line. */
async function processesOf(machine: Machine): Promise<MachineProcess[]> {
  // Each argument on a line of its own, ended by NUL and begun by its file's name. Processes that end meanwhile are no
  // failure.
  const { stdout } = await machine.run(['sh', '-c', `exec grep -saz -H '' /proc/[0-9]*/cmdline`], { allow: [0, 1, 2] })
  return parseCommandLines(stdout)
}

/** Reads "/proc/PID/cmdline:ARGUMENT" records, each ended by NUL. */
export function parseCommandLines(text: string): MachineProcess[] {
  const commands = new Map<number, string[]>()
  for (const record of text.split('\0').slice(0, -1)) {
    const [, pid, argument] = /^\/proc\/(\d+)\/cmdline:(.*)$/s.exec(record) ?? []
    if (pid === undefined) continue
    const command = commands.get(Number(pid)) ?? []
    commands.set(Number(pid), [...command, argument!])
  }
  return [...commands].map(([pid, command]) => ({ pid, command }))
}

/** The processes of a program, perhaps none. */
export async function findProgram(machine: Machine, program: Program): Promise<MachineProcess[]> {
  const processes = await processesOf(machine)
  if (program.is === 'program') return processes.filter(({ command }) => isProgram(machine, program.name, command))
  const shims = processes.filter(({ command }) => baseName(command[0]) === 'conmon')
  const owns = await Promise.all(shims.map((shim) => belongsTo(machine, shim, program.pod)))
  return shims.filter((_, place) => owns[place])
}

/** FailedPrecondition for a machine on which nothing runs now. */
export async function requireRunning(machine: Machine): Promise<void> {
  const { name } = machine.spec
  const state = await machine.state()
  if (state !== 'running')
    throw new GantryError('FailedPrecondition', `${name} is ${state}: nothing runs on it`, {
      details: [
        { field: 'target', value: name, remedy: '`gantry rig status` tells which fault made it so; heal that first' },
      ],
    })
}

/** As findProgram; FailedPrecondition if there is none. */
export async function requireProgram(machine: Machine, program: Program): Promise<MachineProcess[]> {
  const { name } = machine.spec
  await requireRunning(machine)
  const found = await findProgram(machine, program)
  if (found.length > 0) return found
  throw program.is === 'program'
    ? new GantryError('FailedPrecondition', `no ${program.name} runs on ${name}`, {
        details: [
          {
            field: 'target',
            value: `${name}/${program.name}`,
            remedy: 'it may be held off by a fault, be starting, or run elsewhere',
          },
        ],
      })
    : new GantryError('NotFound', `no container of a pod "${program.pod}" runs on ${name}`, {
        details: [
          {
            field: 'target',
            value: program.pod,
            remedy:
              '`gantry get pods -o wide` tells where pods are; one in the network of its node is known by its uid only',
          },
        ],
      })
}

function isProgram(machine: Machine, name: ProgramName, command: readonly string[]): boolean {
  const { program } = machine.spec
  if (program.name === name) return isSame(command, withoutEnvironment(program.command))
  return EXECUTABLE[name] !== undefined && baseName(command[0]) === EXECUTABLE[name]
}

/** A command as it runs: `env` has gone once it has set the variables. */
function withoutEnvironment(command: readonly string[]): readonly string[] {
  if (command[0] !== 'env') return command
  return command.slice(1 + command.slice(1).findIndex((word) => !/^\w+=/.test(word)))
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, place) => word === b[place])
}

function baseName(path = ''): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/**
 * A shim's container is of this pod: by the host name that its bundle sets, or by the pod's uid, which is in its log's
 * path.
 */
async function belongsTo(machine: Machine, { command }: MachineProcess, pod: string): Promise<boolean> {
  if (after(command, '--log-path')?.includes(`/${pod}/`) === true) return true
  const bundle = after(command, '--bundle')
  if (bundle === undefined) return false
  const { stdout, code } = await machine.run(['cat', `${bundle}/config.json`], { allow: [0, 1] })
  return (
    code === 0 &&
    (JSON.parse(stdout) as { hostname?: string }).hostname === pod.slice(0, HOSTNAME_LIMIT).replace(/[-.]+$/, '')
  )
}

function after(command: readonly string[], flag: string): string | undefined {
  const place = command.indexOf(flag)
  return place < 0 ? undefined : command[place + 1]
}

/** Signals processes; those that have ended are no error. */
export async function signal(machine: Machine, processes: readonly MachineProcess[], name: Signal): Promise<void> {
  if (processes.length === 0) return
  await machine.run([
    'sh',
    '-c',
    'for pid in "$@"; do kill -s "$0" "$pid" || [ ! -e "/proc/$pid/cmdline" ] || exit 3; done',
    name,
    ...processes.map(({ pid }) => String(pid)),
  ])
}

/** Ends processes with SIGKILL and waits until they are gone. DeadlineExceeded after 5 s. */
export async function kill(machine: Machine, processes: readonly MachineProcess[], clock: Clock): Promise<void> {
  const same = (a: MachineProcess, b: MachineProcess): boolean => a.pid === b.pid && isSame(a.command, b.command)
  await signal(machine, processes, 'KILL')
  const deadline = clock.monotonic() + ENDING
  while ((await processesOf(machine)).some((left) => processes.some((one) => same(one, left)))) {
    if (clock.monotonic() > deadline)
      throw new GantryError('DeadlineExceeded', `${processes[0]!.command[0]} on ${machine.spec.name} does not end`)
    await delay(clock, LOOK)
  }
}
