/**
 * What a container that has ended wants to be told of its end.
 * https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
 */
import { open } from 'node:fs/promises'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container } from '../../../proto/gen/types.ts'
import type { ExitedState } from '../../state/contract.ts'
import { tailLines } from '../../streams/logs/tail.ts'

/** Bytes of a termination message at most. */
const MESSAGE_LIMIT = 4096
const FALLBACK_LINES = 80
const FALLBACK_BYTES = 2048
/** What the container wrote to its termination message file, or, where its policy says so, the end of its log. */
export async function terminationMessage(
  container: Container,
  exited: ExitedState,
  messagePath: string,
  logPath: string,
): Promise<string> {
  const written = await readStart(messagePath, MESSAGE_LIMIT)
  if (written !== '' || container.terminationMessagePolicy !== 'FallbackToLogsOnError' || exited.exitCode === 0)
    return written
  const lines = await tailLines([logPath], FALLBACK_LINES, FALLBACK_BYTES)
  return Buffer.concat(lines.map((line) => line.content))
    .subarray(-FALLBACK_BYTES)
    .toString()
}

async function readStart(path: string, limit: number): Promise<string> {
  try {
    const file = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(limit), 0, limit, 0)
      return buffer.subarray(0, bytesRead).toString()
    } finally {
      await file.close()
    }
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (error.code === 'NotFound') return ''
    throw error
  }
}
