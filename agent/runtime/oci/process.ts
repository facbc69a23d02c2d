/** Which process a number means: pids are used again, so a record keeps the start time and the boot beside the pid. */
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { GantryError } from '../../../proto/api/errors.ts'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks from boot to start: field 22 of /proc/<pid>/stat, proc_pid_stat(5). */
  readonly startTime: number
  readonly bootId: string
}

/** The process that has this pid now; undefined if there is none, or one that has ended and only waits to be reaped. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readProc(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  return { pid, startTime: Number(fields[19]), bootId: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim() }
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const now = await identify(identity.pid)
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId
}

/** Signals the process if it is still the same one; false if it has ended. */
export async function signalProcess(identity: ProcessIdentity, signal: number): Promise<boolean> {
  if (!(await isAlive(identity))) return false
  try {
    return process.kill(identity.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw GantryError.from(error)
  }
}

/** First real-time signal that programs may use, signal(7). */
const SIGRTMIN = 34
const SIGNAL_MAX = 64

/** The number of "SIGTERM", "TERM", "15" or "SIGRTMIN+3". InvalidArgument for anything else. */
export function signalNumber(signal: string): number {
  const name = signal.toUpperCase().replace(/^(?!SIG)(?=[A-Z])/, 'SIG')
  const realTime = /^SIGRTMIN(?:\+(\d+))?$/.exec(name)
  const number = realTime !== null ? SIGRTMIN + Number(realTime[1] ?? 0) : /^\d+$/.test(name) ? Number(name) : (constants.signals as Record<string, number>)[name]
  if (number === undefined || number < 1 || number > SIGNAL_MAX) throw new GantryError('InvalidArgument', `"${signal}" is no signal`, { details: [{ field: 'signal', value: signal }] })
  return number
}

async function readProc(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
