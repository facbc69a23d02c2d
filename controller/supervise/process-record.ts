/**
 * Which process a program of an earlier run is, so that it is found again after the controller was killed. The record
 * holds the process's id, its start time and the boot it belongs to: an id alone may have been given to another process
 * since.
 */
import { readFile, rm } from 'node:fs/promises'
import { GantryError } from '../../proto/base/errors.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'

const BOOT_ID = '/proc/sys/kernel/random/boot_id'
/** Milliseconds from SIGTERM to SIGKILL, and from there until it must be gone; how often it is looked at meanwhile. */
const TERMINATION_GRACE_MS = 10_000
const KILL_TIMEOUT_MS = 5_000
const POLL_INTERVAL_MS = 20

/**
 * A shell script that writes the record ($0) of its own process and then becomes the program ($@): the record is there
 * before the program runs, so no instant exists in which a program runs unrecorded.
 */
export const RECORD_AND_EXEC = `read -r stat < /proc/$$/stat && read -r boot < ${BOOT_ID} && printf '%s\\n%s\\n' "$stat" "$boot" > "$0" && exec "$@"`

export interface ProcessRecord {
  readonly pid: number
  /** Clock ticks since boot (proc_pid_stat(5), field 22). */
  readonly startTime: string
}

function parseStat(stat: string): ProcessRecord | undefined {
  // The second field is the name in parentheses and may hold anything.
  const [, pid, rest = ''] = /^(\d+) \(.*\) (.*)$/s.exec(stat) ?? []
  const startTime = rest.split(' ')[19]
  return pid === undefined || startTime === undefined ? undefined : { pid: Number(pid), startTime }
}

/** The text of a file, undefined if there is none (or its process ended). */
async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw GantryError.from(thrown)
  }
}

/** What RECORD_AND_EXEC would write, of this process. */
export async function recordOfSelf(): Promise<string> {
  const [stat, boot] = await Promise.all([readFile('/proc/self/stat', 'utf8'), readFile(BOOT_ID, 'utf8')])
  return `${stat.trim()}\n${boot.trim()}\n`
}

/** The process recorded in a file, if it still runs. */
export async function findRecorded(path: string): Promise<ProcessRecord | undefined> {
  const [stat = '', boot] = (await read(path))?.split('\n') ?? []
  const record = parseStat(stat)
  if (record === undefined || boot !== (await read(BOOT_ID))?.trim()) return undefined
  return (await isRunning(record)) ? record : undefined
}

/** True while this very process runs (a zombie does not). */
export async function isRunning({ pid, startTime }: ProcessRecord): Promise<boolean> {
  const stat = await read(`/proc/${pid}/stat`)
  return stat !== undefined && parseStat(stat)?.startTime === startTime && !/^\d+ \(.*\) [ZX] /s.test(stat)
}

/**
 * Ends the recorded process if it still runs, and waits until it is gone; its record goes with it. Internal if it
 * cannot be ended.
 */
export async function endRecorded(path: string, clock: Clock): Promise<ProcessRecord | undefined> {
  const record = await findRecorded(path)
  if (record !== undefined) {
    const gone =
      (await endWith(record, 'SIGTERM', TERMINATION_GRACE_MS, clock)) ||
      (await endWith(record, 'SIGKILL', KILL_TIMEOUT_MS, clock))
    if (!gone)
      throw new GantryError('Internal', `process ${record.pid} of an earlier run does not end`, {
        details: [
          { field: 'pid', value: String(record.pid), remedy: `look at /proc/${record.pid}/stack and end it by hand` },
        ],
      })
  }
  await rm(path, { force: true })
  return record
}

async function endWith(
  record: ProcessRecord,
  signal: NodeJS.Signals,
  patience: number,
  clock: Clock,
): Promise<boolean> {
  if (!(await isRunning(record))) return true
  try {
    process.kill(record.pid, signal)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ESRCH') return true
    throw GantryError.from(thrown)
  }
  for (const end = clock.monotonic() + patience; clock.monotonic() < end;) {
    if (!(await isRunning(record))) return true
    await delay(clock, POLL_INTERVAL_MS)
  }
  return !(await isRunning(record))
}
