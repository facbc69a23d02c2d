import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cgroups, type CgroupLayout } from '../../../agent/runtime/oci/cgroups.ts'
import { readCounters } from '../../../agent/runtime/oci/counters.ts'
import { FakeClock } from '../../../proto/base/clock.ts'

describe('counters of a control group', () => {
  let root: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry-cgroup-'))
  })
  afterEach(() => rm(root, { recursive: true }))

  async function write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(root, path, '..'), { recursive: true })
      await writeFile(join(root, path), text)
    }
  }
  const EXPECTED = {
    cpuNanos: 2_000_000_000,
    cpuUserNanos: 1_500_000_000,
    cpuSystemNanos: 500_000_000,
    cpuPeriods: 10,
    cpuThrottledPeriods: 3,
    cpuThrottledNanos: 7_000_000,
    memoryUsage: 5000,
    memoryPeak: 6000,
    memoryWorkingSet: 4000,
    memoryRss: 3000,
    memoryCache: 1500,
    memoryMapped: 200,
    pageFaults: 11,
    majorPageFaults: 2,
    oomKills: 1,
    processes: 4,
  }

  it('are read of version 2', async () => {
    await write({
      'pod/cpu.stat':
        'usage_usec 2000000\nuser_usec 1500000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 3\nthrottled_usec 7000\n',
      'pod/memory.current': '5000\n',
      'pod/memory.peak': '6000\n',
      'pod/memory.events': 'oom 1\noom_kill 1\n',
      'pod/pids.current': '4\n',
      'pod/memory.stat': 'anon 3000\nfile 1500\nfile_mapped 200\ninactive_file 1000\npgfault 11\npgmajfault 2\n',
    })
    assert.deepEqual(await readCounters(new Cgroups({ version: 2, mount: root }, new FakeClock()), '/pod'), EXPECTED)
    assert.equal(await readCounters(new Cgroups({ version: 2, mount: root }, new FakeClock()), '/gone'), undefined)
  })

  it('are read of version 1', async () => {
    await write({
      'cpuacct/pod/cpuacct.usage': '2000000000\n',
      'cpuacct/pod/cpuacct.stat': 'user 150\nsystem 50\n',
      'cpu/pod/cpu.stat': 'nr_periods 10\nnr_throttled 3\nthrottled_time 7000000\n',
      'memory/pod/memory.usage_in_bytes': '5000\n',
      'memory/pod/memory.max_usage_in_bytes': '6000\n',
      'memory/pod/memory.oom_control': 'under_oom 0\noom_kill 1\n',
      'pids/pod/pids.current': '4\n',
      'memory/pod/memory.stat':
        'total_rss 3000\ntotal_cache 1500\ntotal_mapped_file 200\ntotal_inactive_file 1000\ntotal_pgfault 11\ntotal_pgmajfault 2\n',
    })
    const controllers = new Map(['cpu', 'cpuacct', 'memory', 'pids'].map((name) => [name, join(root, name)]))
    const layout: CgroupLayout = { version: 1, mounts: [...controllers.values()], controllers, unified: undefined }
    assert.deepEqual(await readCounters(new Cgroups(layout, new FakeClock()), '/pod'), EXPECTED)
  })
})
