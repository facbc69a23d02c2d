/**
 * Processes that a rig has beside its machines, found by where their output goes: for when its record does not tell of
 * them.
 */
import { readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { identify, signalProcess } from '../../proto/base/process.ts'
import { rigDirectory } from './rig-record.ts'

const SIGKILL = 9
const STDOUT = 1

/** In the rig's folder: what its companion and the timers of its faults have to say. */
export function reaperLog(rig: string): string {
  return join(rigDirectory(rig), 'companion.log')
}

export function timersLog(rig: string): string {
  return join(rigDirectory(rig), 'timers.log')
}

/** Ends them all but this process. */
export async function killHelperProcesses(rig: string): Promise<void> {
  const logs = [reaperLog(rig), timersLog(rig)]
  for (const entry of await readdir('/proc')) {
    const found = /^\d+$/.test(entry) && Number(entry) !== process.pid ? identify(Number(entry)) : undefined
    const output = found === undefined ? undefined : await outputOf(found.pid)
    if (output !== undefined && logs.includes(output)) signalProcess(found!, SIGKILL)
  }
}

/** The file that a process writes to; undefined if it has ended, or is one of the host's that nobody may look into. */
async function outputOf(pid: number): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/fd/${STDOUT}`)
  } catch (thrown) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return undefined
    throw GantryError.from(thrown)
  }
}
