/**
 * The files of one container instance's log: the live one, `.1` the newest of those rotated away, `.2` the one before …
 */
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'

export interface RotationLimits {
  /** Bytes at which the live file is rotated away. */
  readonly size: number
  /** Files of an instance, the live one included. */
  readonly files: number
}

/** Those that exist, oldest first; the live one is the last. */
export async function logFiles(live: string): Promise<string[]> {
  const numbers = await rotatedNumbers(live)
  return [...numbers.sort((a, b) => b - a).map((number) => `${live}.${number}`), live]
}

async function rotatedNumbers(live: string): Promise<number[]> {
  const prefix = `${basename(live)}.`
  return (await list(dirname(live))).flatMap((name) => {
    const number = name.startsWith(prefix) ? name.slice(prefix.length) : ''
    return /^\d+$/.test(number) ? [Number(number)] : []
  })
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (error.code === 'NotFound') return []
    throw error
  }
}

/** Bytes of the live file; undefined if it is not there. */
export async function logSize(live: string): Promise<number | undefined> {
  try {
    return (await stat(live)).size
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (error.code === 'NotFound') return undefined
    throw error
  }
}

/**
 * Rotates the live file away and has the runtime open a new one. What is older than `limits.files` allows is removed.
 */
export async function rotate(live: string, limits: RotationLimits, reopen: () => Promise<void>): Promise<void> {
  for (const number of (await rotatedNumbers(live)).sort((a, b) => b - a)) {
    if (number >= limits.files - 1) await rm(`${live}.${number}`, { force: true })
    else await rename(`${live}.${number}`, `${live}.${number + 1}`)
  }
  await rename(live, `${live}.1`)
  await reopen()
}

/** Removes what a container's instances before `attempt` have left in a folder: logs, termination messages. */
export async function removeFilesBefore(folder: string, attempt: number): Promise<void> {
  for (const name of await list(folder)) {
    const [, number] = /^(\d+)\.(?:log|termination)/.exec(name) ?? []
    if (number !== undefined && Number(number) < attempt) await rm(join(folder, name), { force: true })
  }
}
