import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cgroups, cpuWeight, readLayout } from '../../../agent/runtime/oci/cgroups.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { systemClock } from '../../../proto/base/clock.ts'

const line = (point: string, type: string, options: string): string =>
  `30 25 0:26 / ${point} rw,relatime shared:9 - ${type} ${type} rw,${options}`
const V1 = ['cpu,cpuacct', 'memory', 'pids'].map((options) => line(`/sys/fs/cgroup/${options}`, 'cgroup', options))

describe('readLayout', () => {
  it('knows version 2', () => {
    assert.deepEqual(readLayout(line('/sys/fs/cgroup', 'cgroup2', 'nsdelegate')), {
      version: 2,
      mount: '/sys/fs/cgroup',
    })
  })

  it('knows version 1, with controllers that share a mount, and the hybrid', () => {
    const layout = readLayout([...V1, line('/sys/fs/cgroup/unified', 'cgroup2', 'x')].join('\n'))
    assert.ok(layout.version === 1)
    assert.equal(layout.controllers.get('cpu'), '/sys/fs/cgroup/cpu,cpuacct')
    assert.equal(layout.controllers.get('cpuacct'), '/sys/fs/cgroup/cpu,cpuacct')
    assert.equal(layout.unified, '/sys/fs/cgroup/unified')
    assert.equal(layout.mounts.length, 3)
    const pure = readLayout(V1.join('\n'))
    assert.ok(pure.version === 1 && pure.unified === undefined)
  })

  it('says what is missing', () => {
    assert.throws(() => readLayout(''), { code: 'FailedPrecondition' })
    assert.throws(() => readLayout(V1.slice(0, 2).join('\n')), /pids/)
  })
})

describe('cpuWeight', () => {
  it('maps the ends of the range and what lies between', () => {
    assert.deepEqual([0, 2, 1024, 262_144].map(cpuWeight), [0, 1, 39, 10_000])
    assert.deepEqual([1, 1_000_000].map(cpuWeight), [1, 10_000])
  })
})

describe('Cgroups, version 2', () => {
  let mount: string
  let cgroups: Cgroups

  beforeEach(async () => {
    mount = await mkdtemp(join(tmpdir(), 'gantry-cgroup2-'))
    cgroups = new Cgroups({ version: 2, mount }, systemClock)
  })
  afterEach(() => rm(mount, { recursive: true }))

  it('hands the controllers down and sets the limits', async () => {
    cgroups.create('/gantry/pod1', { cpuShares: 1024, cpuQuotaMicros: 50_000, memoryLimit: 1 << 20, pidsLimit: 7 })
    const read = (path: string): Promise<string> => readFile(join(mount, path), 'utf8')
    assert.equal(await read('cgroup.subtree_control'), '+cpu +memory +pids')
    assert.equal(await read('gantry/cgroup.subtree_control'), '+cpu +memory +pids')
    assert.deepEqual(
      await Promise.all(['cpu.weight', 'cpu.max', 'memory.max', 'pids.max'].map((file) => read(`gantry/pod1/${file}`))),
      ['39', '50000 100000', String(1 << 20), '7'],
    )
    assert.deepEqual((await readdir(join(mount, 'gantry/pod1'))).includes('cgroup.subtree_control'), false)
  })

  it('tells what a group has at most: the least along its path', async () => {
    const write = async (path: string, files: Readonly<Record<string, string>>): Promise<void> => {
      await mkdir(join(mount, path), { recursive: true })
      for (const [file, text] of Object.entries(files)) await writeFile(join(mount, path, file), `${text}\n`)
    }
    await write('a/b', { 'memory.max': 'max', 'cpu.max': 'max 100000', 'pids.max': 'max' })
    assert.deepEqual(await cgroups.limits('/a/b'), { memory: undefined, cpus: undefined, processes: undefined })
    await write('a', { 'memory.max': '1000', 'cpu.max': '50000 100000', 'pids.max': '70' })
    await write('a/b', { 'memory.max': '2000', 'cpu.max': '25000 100000', 'pids.max': 'max' })
    assert.deepEqual(await cgroups.limits('/a/b'), { memory: 1000, cpus: 0.25, processes: 70 })
  })

  it('says which controllers an ancestor lacks', async () => {
    await writeFile(join(mount, 'cgroup.controllers'), 'cpuset cpu\n')
    await symlink(join(mount, 'refused/by-the-kernel'), join(mount, 'cgroup.subtree_control'))
    assert.throws(
      () => cgroups.create('/gantry', { cpuShares: 0, cpuQuotaMicros: 0, memoryLimit: 0, pidsLimit: 0 }),
      (error) => {
        assert.ok(error instanceof GantryError && error.code === 'FailedPrecondition')
        assert.match(error.message, /lacks the controllers memory, pids$/)
        assert.equal(error.details[0]!.field, 'cgroupParent')
        return true
      },
    )
  })

  it('limits swap where the kernel counts it', async () => {
    await mkdir(join(mount, 'gantry'))
    assert.equal(await cgroups.limitsSwap('/gantry'), false)
    await writeFile(join(mount, 'gantry/memory.swap.max'), 'max\n')
    assert.equal(await cgroups.limitsSwap('/gantry'), true)
  })

  it('reads what a group uses, without what the kernel can take back', async () => {
    const path = join(mount, 'g')
    await mkdir(path)
    for (const [file, text] of Object.entries({
      'memory.current': '5000\n',
      'memory.peak': '9000\n',
      'memory.stat': 'anon 1\ninactive_file 2000\n',
      'cpu.stat': 'usage_usec 12\nuser_usec 5\n',
      'pids.current': '3\n',
      'memory.events': 'low 0\noom 4\noom_kill 2\n',
    }))
      await writeFile(join(path, file), text)
    assert.deepEqual(await cgroups.stats('/g'), { memory: 3000, memoryPeak: 9000, cpuNanos: 12_000, processes: 3 })
    assert.equal(await cgroups.oomKills('/g'), 2)
  })

  it('knows nothing of a group that is gone, and removing it is no failure', async () => {
    assert.equal(await cgroups.stats('/gone'), undefined)
    assert.equal(await cgroups.oomKills('/gone'), 0)
    await cgroups.remove('/gone')
    await cgroups.kill('/gone')
  })

  it('removes a group with those below it', async () => {
    await mkdir(join(mount, 'a/b/c'), { recursive: true })
    await cgroups.remove('/a')
    assert.deepEqual(await readdir(mount), [])
  })
})

describe('Cgroups, version 1', () => {
  let root: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry-cgroup1-'))
  })
  afterEach(() => rm(root, { recursive: true }))

  it('tells what a group has at most, in each hierarchy', async () => {
    const controllers = new Map(['cpu', 'memory', 'pids'].map((name) => [name, join(root, name)]))
    const cgroups = new Cgroups(
      { version: 1, mounts: [...controllers.values()], controllers, unified: undefined },
      systemClock,
    )
    const write = async (controller: string, path: string, files: Readonly<Record<string, string>>): Promise<void> => {
      await mkdir(join(root, controller, path), { recursive: true })
      for (const [file, text] of Object.entries(files)) await writeFile(join(root, controller, path, file), `${text}\n`)
    }
    await write('memory', 'a', { 'memory.limit_in_bytes': '9223372036854771712' })
    await write('cpu', 'a', { 'cpu.cfs_quota_us': '-1', 'cpu.cfs_period_us': '100000' })
    assert.deepEqual(await cgroups.limits('/a'), { memory: undefined, cpus: undefined, processes: undefined })
    await write('memory', 'a', { 'memory.limit_in_bytes': '536870912' })
    await write('cpu', 'a', { 'cpu.cfs_quota_us': '150000', 'cpu.cfs_period_us': '100000' })
    await write('pids', 'a', { 'pids.max': '100' })
    assert.deepEqual(await cgroups.limits('/a'), { memory: 536_870_912, cpus: 1.5, processes: 100 })
  })
})
