/**
 * What the kernel counts of a control group, in either version. https://docs.kernel.org/admin-guide/cgroup-v2.html and
 * …/cgroup-v1/
 */
import type { ContainerCounters } from '../contract.ts'
import type { Cgroups } from './cgroups.ts'

/** Processor time in cpuacct.stat is in hundredths of a second. */
const TICK_NANOS = 10_000_000

/** Undefined once the group is gone. */
export async function readCounters(
  cgroups: Pick<Cgroups, 'layout' | 'stats' | 'text' | 'oomKills'>,
  path: string,
): Promise<ContainerCounters | undefined> {
  const v2 = cgroups.layout.version === 2
  const [stats, usage, memory, cpu, account, oomKills] = await Promise.all([
    cgroups.stats(path),
    cgroups.text('memory', path, v2 ? 'memory.current' : 'memory.usage_in_bytes'),
    cgroups.text('memory', path, 'memory.stat'),
    cgroups.text('cpu', path, 'cpu.stat'),
    v2 ? undefined : cgroups.text('cpuacct', path, 'cpuacct.stat'),
    cgroups.oomKills(path),
  ])
  if (stats === undefined) return undefined
  const memoryOf = wordsOf(memory)
  const cpuOf = wordsOf(cpu)
  const accountOf = wordsOf(account)
  return {
    cpuNanos: stats.cpuNanos,
    cpuUserNanos: v2 ? cpuOf('user_usec') * 1000 : accountOf('user') * TICK_NANOS,
    cpuSystemNanos: v2 ? cpuOf('system_usec') * 1000 : accountOf('system') * TICK_NANOS,
    cpuPeriods: cpuOf('nr_periods'),
    cpuThrottledPeriods: cpuOf('nr_throttled'),
    cpuThrottledNanos: v2 ? cpuOf('throttled_usec') * 1000 : cpuOf('throttled_time'),
    memoryUsage: Number(usage ?? stats.memory),
    memoryPeak: stats.memoryPeak,
    memoryWorkingSet: stats.memory,
    memoryRss: memoryOf(v2 ? 'anon' : 'total_rss'),
    memoryCache: memoryOf(v2 ? 'file' : 'total_cache'),
    memoryMapped: memoryOf(v2 ? 'file_mapped' : 'total_mapped_file'),
    pageFaults: memoryOf(v2 ? 'pgfault' : 'total_pgfault'),
    majorPageFaults: memoryOf(v2 ? 'pgmajfault' : 'total_pgmajfault'),
    oomKills,
    processes: stats.processes,
  }
}

/** Lines of a word and a number; 0 for a word that is not there. */
function wordsOf(text: string | undefined): (word: string) => number {
  const numbers = new Map(
    (text ?? '')
      .split('\n')
      .map((line) => line.split(' ') as [string, string?])
      .map(([word, number]) => [word, Number(number ?? 0)]),
  )
  return (word) => numbers.get(word) ?? 0
}
