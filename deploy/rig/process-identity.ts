/** A process by pid and start time: a pid alone may by now be somebody else's. */
import { readFileSync } from 'node:fs'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks after boot, field 22 of /proc/PID/stat (proc_pid_stat(5)). */
  readonly startTime: string
}

/** A file of /proc/PID, or undefined if the process is gone. */
export function readProcess(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch (thrown) {
    if (['ENOENT', 'ESRCH'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return undefined
    throw thrown
  }
}

/** The process with this pid, or undefined if there is none (or it has ended and only waits to be reaped). */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readProcess(pid, 'stat')
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : { pid, startTime: fields[19]! }
}

export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTime === process.startTime
}
