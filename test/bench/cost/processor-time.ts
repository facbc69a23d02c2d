/** The processor time of a program, as the kernel accounts for it, in microseconds. */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds between looks whether a program has come to rest, and those after which it is taken for it. */
const LOOK = 100
const PATIENCE = 5_000
/** The share of a processor that a program at rest may take. */
const AT_REST = 0.03

/** Of its main thread, the one whose number is the process's. */
export function mainThreadTime(pid: number): number {
  return taskTime(pid, pid)
}

/** Of all its threads that there are. */
export function wholeTime(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + taskTime(pid, Number(task)), 0)
}

/** Resolves when the main thread has nothing to do but what it always does. */
export async function comeToRest(pid: number): Promise<void> {
  for (let waited = 0; waited < PATIENCE; waited += LOOK) {
    const before = mainThreadTime(pid)
    await delay(LOOK)
    if (mainThreadTime(pid) - before < LOOK * 1000 * AT_REST) return
  }
}

/** The first number of schedstat: nanoseconds on a processor (Documentation/scheduler/sched-stats.rst). */
function taskTime(pid: number, task: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1000
  } catch (thrown) {
    // A thread that has ended meanwhile.
    if (['ENOENT', 'ESRCH'].includes((thrown as NodeJS.ErrnoException).code ?? '') && task !== pid) return 0
    throw thrown
  }
}
