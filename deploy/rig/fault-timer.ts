/**
 * What ends a fault after its time, whether the process that began it lives then or not: a process of its own that
 * sleeps, then heals.
 */
import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { GantryError } from '../../proto/base/errors.ts'
import { identify, isAlive, type ProcessIdentity } from '../../proto/base/process.ts'
import { timersLog } from './helper-processes.ts'
import { bundlePath } from './installation.ts'

/** What it has to say goes to a file in the rig's folder. */
export async function startTimer(rig: string, id: string, millis: number): Promise<ProcessIdentity> {
  const log = await open(timersLog(rig), 'a')
  try {
    const child = spawn(
      'sh',
      [
        '-c',
        'sleep "$1"; exec "$2" "$3" heal --rig "$4" "$5"',
        'sh',
        (millis / 1000).toFixed(3),
        process.execPath,
        bundlePath('gantry-rig.cjs'),
        rig,
        id,
      ],
      { detached: true, stdio: ['ignore', log.fd, log.fd] },
    )
    const identity = child.pid === undefined ? undefined : identify(child.pid)
    if (identity === undefined)
      throw new GantryError('Internal', `the process that is to end the fault ${id} could not be started`)
    child.unref()
    return identity
  } finally {
    await log.close()
  }
}

/** Ends one with its sleep, unless it is this process, which is at its work. No error if it has ended. */
export function endTimer(timer: ProcessIdentity): void {
  if (timer.pid === process.pid || !isAlive(timer)) return
  try {
    process.kill(-timer.pid, 'SIGKILL')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw GantryError.from(thrown)
  }
}
