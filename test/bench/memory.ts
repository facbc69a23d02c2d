/** Memory as the kernel shares it out: Pss of /proc/PID/smaps_rollup (proc_pid_smaps(5)), in MB. */
import { readFileSync } from 'node:fs'

export function pss(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)![1]) / 1024
}
