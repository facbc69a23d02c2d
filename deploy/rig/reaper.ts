/**
 * The companion of an ephemeral rig: a process that waits for the end of another, whatever ends it, and then removes
 * the rig. It reads from a pipe whose other end only the owner holds: the kernel closes that when the owner ends.
 */
import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { GantryError } from '../../proto/base/errors.ts'
import { identify, signalProcess, type ProcessIdentity } from '../../proto/base/process.ts'
import { reaperLog } from './helper-processes.ts'
import { bundlePath } from './installation.ts'

const SIGKILL = 9

/** Starts one for this process; what it has to say goes to a file in the rig's folder. */
export async function startReaper(rig: string): Promise<ProcessIdentity> {
  const log = await open(reaperLog(rig), 'a')
  try {
    const child = spawn(
      'sh',
      ['-c', 'read -r _; exec "$0" "$1" sweep', process.execPath, bundlePath('gantry-rig.cjs')],
      { detached: true, stdio: ['pipe', log.fd, log.fd] },
    )
    const identity = child.pid === undefined ? undefined : identify(child.pid)
    if (identity === undefined)
      throw new GantryError('Internal', 'the process that is to remove the rig when this one ends could not be started')
    child.unref()
    ;(child.stdin as Socket).unref()
    return identity
  } finally {
    await log.close()
  }
}

/** Ends one, unless it is this process: the owner has ended, and it removes the rig. */
export function endReaper(companion: ProcessIdentity): void {
  if (companion.pid !== process.pid) signalProcess(companion, SIGKILL)
}
