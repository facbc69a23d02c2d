/** Memory as the kernel shares it out: Pss of /proc/PID/smaps_rollup (proc_pid_smaps(5)), in MB. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Seconds after which a program that has nothing to do has collected its garbage. */
const SETTLING = 25

export function pss(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)![1]) / 1024
}

/** The least while a program that has just had something to do settles. */
export async function settledPss(pid: number): Promise<number> {
  let least = pss(pid)
  for (let second = 0; second < SETTLING; second++) {
    await delay(1_000)
    least = Math.min(least, pss(pid))
  }
  return least
}
