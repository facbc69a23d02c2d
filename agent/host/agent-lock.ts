/**
 * One agent at a time for a runDir: a second one would take down, as leftovers that nobody knows, what the first has
 * just made.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { identify, isAlive, type ProcessIdentity } from '../../proto/base/process.ts'

/**
 * Notes that this process is the agent. It needs not be taken back: it says nothing once the process has ended.
 * FailedPrecondition: another one lives.
 */
export function acquireAgentLock(runDir: string): void {
  const path = join(runDir, 'agent.process')
  const other = readIdentity(path)
  if (other !== undefined && other.pid !== process.pid && isAlive(other)) {
    throw new GantryError('FailedPrecondition', `another agent, process ${other.pid}, runs with ${runDir}`, {
      details: [
        { field: 'runDir', value: runDir, remedy: 'end that one first, or name directories of its own for this one' },
      ],
    })
  }
  writeFileSync(`${path}.new`, JSON.stringify(identify(process.pid)), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

function readIdentity(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw GantryError.from(thrown)
  }
}
