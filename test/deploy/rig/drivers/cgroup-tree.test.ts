import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { CgroupTree } from '../../../../deploy/rig/drivers/namespaces/cgroup-tree.ts'

/** Folders and files stand in for the kernel's: what is written where is what counts. */
describe('the cgroup tree', () => {
  let root: string

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry-cgroups-'))
  })

  afterEach(() => rm(root, { recursive: true, force: true }))

  async function lay(files: Record<string, string>): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(join(root, path), content)
    }
  }
  const text = (path: string): Promise<string> => readFile(join(root, path), 'utf8')

  const V1 = {
    'cpu/cgroup.procs': '',
    'memory/cgroup.procs': '',
    'freezer/cgroup.procs': '',
    'blkio/cgroup.procs': '',
    'cpuset/cgroup.procs': '',
    'cpuset/cpuset.cpus': '0-3\n',
    'cpuset/cpuset.mems': '0\n',
    'other/file': '',
  }

  it('knows version 2, version 1 and both', async () => {
    await assert.rejects(CgroupTree.open(join(root, 'none')), { code: 'FailedPrecondition' })
    await assert.rejects(CgroupTree.open(root), { code: 'FailedPrecondition' })
    await lay(V1)
    const v1 = await CgroupTree.open(root)
    assert.deepEqual(
      [v1.mode, (await v1.controllers()).sort(), v1.diesFrozen],
      ['v1', ['blkio', 'cpu', 'cpuset', 'freezer', 'memory'], false],
    )
    await lay({ 'unified/cgroup.procs': '' })
    const hybrid = await CgroupTree.open(root)
    assert.deepEqual(
      [hybrid.mode, (await hybrid.controllers()).includes('unified'), hybrid.diesFrozen],
      ['hybrid', false, true],
    )
    await lay({ 'cgroup.controllers': 'cpu memory\n' })
    const v2 = await CgroupTree.open(root)
    assert.deepEqual([v2.mode, await v2.controllers(), v2.diesFrozen], ['v2', ['cpu', 'memory'], true])
  })

  it('hands processors down to the groups that it makes, and puts processes into all of them', async () => {
    await lay({
      ...V1,
      ...Object.fromEntries(
        ['rigs', 'rigs/a', 'rigs/a/system', 'rigs/a/side'].flatMap((group) => [
          [`cpuset/${group}/cpuset.cpus`, ''],
          [`cpuset/${group}/cpuset.mems`, ''],
        ]),
      ),
    })
    const tree = await CgroupTree.open(root)
    await tree.create('rigs/a/system')
    assert.equal(await text('cpuset/rigs/a/system/cpuset.cpus'), '0-3')
    await tree.join('rigs/a/system', 42)
    for (const hierarchy of ['cpu', 'memory', 'freezer', 'blkio', 'cpuset'])
      assert.equal(await text(`${hierarchy}/rigs/a/system/cgroup.procs`), '42')
    const doors = await tree.joinFiles('rigs/a/side', 'x1')
    assert.deepEqual(
      doors.map((door) => door.slice(root.length + 1)).sort(),
      ['blkio', 'cpu', 'cpuset', 'freezer', 'memory']
        .map((name) => `${name}/rigs/a/side/${name === 'freezer' ? 'x1/' : ''}cgroup.procs`)
        .sort(),
    )
  })

  it('enables for a new group of version 2 what its parents do not have yet', async () => {
    await lay({
      'cgroup.controllers': 'cpu memory pids\n',
      'cgroup.subtree_control': 'cpu memory pids\n',
      'rigs/cgroup.controllers': 'cpu memory pids\n',
      'rigs/cgroup.subtree_control': 'memory\n',
      'rigs/a/cgroup.controllers': '',
      'rigs/a/cgroup.subtree_control': '',
    })
    await (await CgroupTree.open(root)).create('rigs/a')
    assert.equal(await text('cgroup.subtree_control'), 'cpu memory pids\n')
    assert.equal(await text('rigs/cgroup.subtree_control'), '+cpu +pids')
  })

  const limits: [string, Record<string, string>, Record<string, string>][] = [
    [
      'version 1',
      { ...V1, 'memory/m/memory.limit_in_bytes': '', 'cpu/m/cpu.cfs_quota_us': '' },
      { 'memory/m/memory.limit_in_bytes': '1000000', 'cpu/m/cpu.cfs_quota_us': '150000' },
    ],
    [
      'version 2',
      { 'cgroup.controllers': 'cpu memory', 'm/memory.max': '', 'm/cpu.max': '' },
      { 'm/memory.max': '1000000', 'm/cpu.max': '150000 100000' },
    ],
  ]
  for (const [version, before, after] of limits) {
    it(`limits memory and processors in ${version}`, async () => {
      await lay(before)
      const tree = await CgroupTree.open(root)
      await tree.limit('m', {})
      await tree.limit('m', { memoryBytes: 1_000_000, cpus: 1.5 })
      for (const [path, content] of Object.entries(after)) assert.equal(await text(path), content)
      await assert.rejects(tree.limit('elsewhere', { cpus: 1 }), {
        code: 'FailedPrecondition',
        message: /cannot limit cpu/,
      })
    })
  }

  it('freezes all of a machine but what runs beside it, in version 1', async () => {
    await lay({
      ...V1,
      'freezer/m/system/freezer.state': 'THAWED',
      'freezer/m/system/freezer.self_freezing': '1',
      'freezer/m/pod-a/freezer.state': 'THAWED',
      'freezer/m/side/freezer.state': 'THAWED',
    })
    const tree = await CgroupTree.open(root)
    await tree.freeze('m')
    assert.deepEqual(
      await Promise.all(['system', 'pod-a', 'side'].map((name) => text(`freezer/m/${name}/freezer.state`))),
      ['FROZEN', 'FROZEN', 'THAWED'],
    )
    assert.equal(await tree.isFrozen('m'), true)
    await tree.thaw('m')
    assert.deepEqual(await Promise.all(['system', 'pod-a'].map((name) => text(`freezer/m/${name}/freezer.state`))), [
      'THAWED',
      'THAWED',
    ])
  })

  it('continues a machine of which a process does not stand still, and says where it is', async () => {
    await lay({
      'cgroup.controllers': '',
      'm/system/cgroup.freeze': '0',
      'm/system/cgroup.events': 'populated 1\nfrozen 1\n',
      'm/pod-a/cgroup.freeze': '0',
      'm/pod-a/cgroup.events': 'populated 1\nfrozen 0\n',
    })
    const tree = await CgroupTree.open(root)
    await assert.rejects(tree.freeze('m', 20), { code: 'DeadlineExceeded', message: /m\/pod-a/ })
    assert.equal(await text('m/pod-a/cgroup.freeze'), '0')
    assert.equal(await tree.isFrozen('m'), false)
  })

  it("limits a device in every group and the root in version 1, in the machine's in version 2", async () => {
    await lay(V1)
    for (const group of ['m', 'm/system']) await mkdir(join(root, 'blkio', group), { recursive: true })
    await (await CgroupTree.open(root)).throttle('m', '7:3', 1_000)
    for (const group of ['.', 'm', 'm/system'])
      for (const way of ['read', 'write'])
        assert.equal(await text(`blkio/${group}/blkio.throttle.${way}_bps_device`), '7:3 1000')
    await (await CgroupTree.open(root)).throttle('m', '7:3', undefined)
    assert.equal(await text('blkio/m/blkio.throttle.read_bps_device'), '7:3 0')
    await lay({ 'cgroup.controllers': 'io', 'm/cgroup.procs': '' })
    const v2 = await CgroupTree.open(root)
    await v2.throttle('m', '7:3', 1_000)
    assert.equal(await text('m/io.max'), '7:3 rbps=1000 wbps=1000')
    await v2.throttle('m', '7:3', undefined)
    assert.equal(await text('m/io.max'), '7:3 rbps=max wbps=max')
    await v2.throttle('gone', '7:3', 1_000)
  })

  it('counts processes of a group and all below it, and removes a group with all below', async () => {
    await lay({
      'cgroup.controllers': '',
      'm/cgroup.procs': '',
      'm/system/cgroup.procs': '1\n2\n',
      'm/pod/c/cgroup.procs': '3\n',
    })
    const tree = await CgroupTree.open(root)
    assert.deepEqual((await tree.processes('m')).sort(), [1, 2, 3])
    assert.deepEqual(await tree.processes('gone'), [])
    // The kernel's files do not keep a folder.
    for (const file of ['m/cgroup.procs', 'm/system/cgroup.procs', 'm/pod/c/cgroup.procs']) await rm(join(root, file))
    await mkdir(join(root, 'other/sub'), { recursive: true })
    await tree.remove('m')
    await tree.remove('m')
    assert.equal(existsSync(join(root, 'm')), false)
    await tree.removeIfEmpty('other')
    assert.equal(existsSync(join(root, 'other')), true)
    await rm(join(root, 'other/sub'), { recursive: true })
    await tree.removeIfEmpty('other')
    assert.equal(existsSync(join(root, 'other')), false)
  })
})
