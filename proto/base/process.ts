/** Which process a number means: pids are used again, so a record keeps the start time and the boot beside the pid. */
import { readFileSync } from 'node:fs'
import { GantryError } from './errors.ts'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks from boot to start: field 22 of /proc/<pid>/stat, proc_pid_stat(5). */
  readonly startTime: number
  readonly bootId: string
}

/** The same as long as this process lives. */
let bootId: string | undefined

/** The process that has this pid now; undefined if there is none, or one that has ended and only waits to be reaped. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readProcess(pid, 'stat')
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  return {
    pid,
    startTime: Number(fields[19]),
    bootId: (bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  const now = identify(identity.pid)
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId
}

/** Signals the process if it is still the same one; false if it has ended. */
export function signalProcess(identity: ProcessIdentity, signal: number): boolean {
  if (!isAlive(identity)) return false
  try {
    return process.kill(identity.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw GantryError.from(error)
  }
}

/** A file of /proc/PID, or undefined if the process is gone. Made up by the kernel: there is no disk to wait for. */
export function readProcess(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
