/** A program between two streams. */
import { spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { GantryError } from '../../../proto/base/errors.ts'

export interface ProgramStream {
  readonly input: Writable
  readonly output: Readable
  /**
   * Its end. Rejects with Internal (exit code, end of its standard error), FailedPrecondition (it cannot be started) or
   * Cancelled.
   */
  readonly ended: Promise<void>
}

/**
 * Starts a program whose input and output are written and read by the caller; an abort kills it. The environment
 * (TAR_OPTIONS and the like) does not steer it.
 */
export function startProgram(program: string, args: readonly string[], signal: AbortSignal): ProgramStream {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env.PATH, LC_ALL: 'C' } })
  const errors: Buffer[] = []
  let errorBytes = 0
  child.stderr.on('data', (chunk: Buffer) => {
    // Only the beginning is told; a program that complains of each of a million files is not to fill the memory.
    if (errorBytes < 4096) errors.push(chunk)
    errorBytes += chunk.length
  })
  const kill = (): void => void child.kill('SIGKILL')
  signal.addEventListener('abort', kill, { once: true })
  if (signal.aborted) kill()
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', (cause) =>
      reject(new GantryError('FailedPrecondition', `cannot start ${program}: ${cause.message}`, { cause })),
    )
    child.on('close', (code, killedBy) => {
      signal.removeEventListener('abort', kill)
      if (code === 0) return resolve()
      if (signal.aborted) return reject(GantryError.from(signal.reason, 'Cancelled'))
      const said = Buffer.concat(errors).toString().trim().slice(0, 2000)
      reject(
        new GantryError(
          'Internal',
          `${program} ${code === null ? `was ended by ${killedBy}` : `exited with ${code}`}${said === '' ? '' : `: ${said}`}`,
        ),
      )
    })
  })
  return { input: child.stdin, output: child.stdout, ended }
}
