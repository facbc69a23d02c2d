/**
 * Starts a container that crun has created as `crun start` does: its first process waits for a byte in a FIFO, and the
 * FIFO goes. (A start of crun takes milliseconds, and does nothing more for containers without hooks.)
 *
 * The byte goes first: a FIFO that is still there after the agent was killed has no reader any more, and the container
 * runs.
 */
import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs'

/**
 * `path`: of the FIFO. Again for a container that has started already: nothing happens. False: this is not how it can
 * be started, and the runtime is to be asked.
 */
export function startByFifo(path: string): boolean {
  const descriptor = openForWriting(path)
  switch (descriptor) {
    case 'ENOENT':
      return false
    case 'ENXIO': // nobody reads: it was told already
      break
    default:
      try {
        writeSync(descriptor, '\0')
      } finally {
        closeSync(descriptor)
      }
  }
  rmSync(path, { force: true })
  return true
}

function openForWriting(path: string): number | 'ENOENT' | 'ENXIO' {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENXIO') return code
    throw error
  }
}
