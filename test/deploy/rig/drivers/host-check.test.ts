import assert from 'node:assert/strict'
import { findShortcomings } from '../../../../deploy/rig/drivers/namespaces/host-check.ts'
import { observeHost, type Host } from '../../../../deploy/rig/drivers/namespaces/host-facts.ts'

const MEBI = 2 ** 20
const FEATURES = { overlay: true, ext4: true, veth: true, bridge: true, nftables: true, loop: true, forwarding: true }

/** A host that can carry the rigs of this test. */
const HOST: Host = {
  root: true,
  missing: [],
  cgroup: { mode: 'hybrid', controllers: ['cpu', 'memory', 'pids', 'devices', 'freezer'] },
  inotifyInstances: 128,
  inotifyWatches: 65_536,
  files: { most: 100_000, used: 1_000 },
  openFiles: 20_000,
  pidMax: 32_768,
  neighbours: 1_024,
  memoryBytes: 4_096 * MEBI,
  diskBytes: 8_192 * MEBI,
  features: FEATURES,
}
const DEMAND = { controllers: 1, nodes: 5, diskBytes: 8_192 * MEBI }

describe('the check of a host', () => {
  it('finds nothing on one that has it all', () => assert.deepEqual(findShortcomings(HOST, DEMAND), []))

  const cases: [
    what: string,
    change: Partial<Host>,
    nodes: number,
    found: [what: string, found: string, needed: string, remedy: RegExp, severity: string],
  ][] = [
    [
      'no root',
      { root: false, features: { ...FEATURES, veth: false } },
      5,
      ['user', 'not root', 'root: a rig is made of namespaces, mounts and cgroups', /sudo/, 'fatal'],
    ],
    [
      'a missing program',
      { missing: ['nft'] },
      5,
      ['program nft', 'not installed', 'installed', /^apt-get install nftables$/, 'fatal'],
    ],
    [
      'no cgroups',
      { cgroup: { mode: 'none', controllers: [] } },
      5,
      ['cgroups', 'not mounted at /sys/fs/cgroup', 'version 2, 1 or both', /^mount -t cgroup2/, 'fatal'],
    ],
    [
      'a controller that v2 lacks',
      { cgroup: { mode: 'v2', controllers: ['cpu', 'pids', 'io'] } },
      5,
      ['cgroup controllers', 'cpu pids io', 'memory', /cgroup_enable=memory/, 'fatal'],
    ],
    [
      'a hierarchy that v1 lacks',
      { cgroup: { mode: 'v1', controllers: ['cpu', 'memory', 'pids', 'devices'] } },
      5,
      ['cgroup controllers', 'cpu memory pids devices', 'freezer', /^mount -t cgroup -o freezer/, 'fatal'],
    ],
    [
      'no overlayfs',
      { features: { ...FEATURES, overlay: false } },
      5,
      ['overlayfs', 'not there', 'there', /^modprobe overlay$/, 'fatal'],
    ],
    [
      'no loop devices, and then no need of ext4',
      { features: { ...FEATURES, loop: false, ext4: false } },
      5,
      ['loop devices', 'not there', 'there', /modprobe loop.*not possible/, 'warning'],
    ],
    [
      'a setting that cannot be written',
      { features: { ...FEATURES, forwarding: false } },
      5,
      ['net.ipv4.ip_forward', 'not there', 'there', /privileged/, 'fatal'],
    ],
    ['little memory', { memoryBytes: 512 * MEBI }, 5, ['memory', '512 MiB', '648 MiB', /does for 2 nodes$/, 'fatal']],
    ['no memory', { memoryBytes: 100 * MEBI }, 5, ['memory', '100 MiB', '648 MiB', /not do for one node$/, 'fatal']],
    [
      'little disk',
      { diskBytes: 1_000 * MEBI },
      5,
      ['disk space below /var/lib/gantry', '1000 MiB', '1152 MiB', /does for 2 nodes$/, 'fatal'],
    ],
    [
      'few inotify instances',
      { inotifyInstances: 20 },
      5,
      ['fs.inotify.max_user_instances', '20', '21', /^sysctl -w fs\.inotify\.max_user_instances=32$/, 'warning'],
    ],
    [
      'few inotify watches',
      { inotifyWatches: 1_000 },
      5,
      ['fs.inotify.max_user_watches', '1000', '1104', /=2048$/, 'warning'],
    ],
    ['few files', { files: { most: 2_000, used: 1_000 } }, 5, ['fs.file-max', '2000', '2984', /=4096$/, 'warning']],
    ['few pids', { pidMax: 1_024 }, 5, ['kernel.pid_max', '1024', '1344', /=2048$/, 'warning']],
    [
      'few open files',
      { openFiles: 1_024 },
      5,
      ['open files (ulimit -n)', '1024', '4096', /^ulimit -n 4096$/, 'warning'],
    ],
    [
      'many machines that know each other',
      {},
      40,
      ['net.ipv4.neigh.default.gc_thresh3', '1024', '1764', /=2048$/, 'warning'],
    ],
  ]
  for (const [what, change, nodes, [name, found, needed, remedy, severity]] of cases) {
    it(`names ${what}`, () => {
      const shortcomings = findShortcomings({ ...HOST, ...change }, { ...DEMAND, nodes })
      assert.deepEqual(
        shortcomings.map((one) => [one.what, one.found, one.needed, one.severity]),
        [[name, found, needed, severity]],
      )
      assert.match(shortcomings[0]!.remedy, remedy)
    })
  }

  it('names several, each by itself', () => {
    assert.deepEqual(
      findShortcomings({ ...HOST, missing: ['crun', 'ip'], pidMax: 100 }, DEMAND).map(({ what }) => what),
      ['program crun', 'program ip', 'kernel.pid_max'],
    )
  })

  it('reads this host', async () => {
    const host = await observeHost()
    assert.deepEqual([host.root, host.missing], [true, []])
    assert.notEqual(host.cgroup.mode, 'none')
    assert.deepEqual(
      [
        host.features.overlay,
        host.features.veth,
        host.features.bridge,
        host.features.nftables,
        host.features.forwarding,
      ],
      [true, true, true, true, true],
    )
    for (const number of [
      host.inotifyInstances,
      host.inotifyWatches,
      host.files.most,
      host.openFiles,
      host.pidMax,
      host.neighbours,
      host.memoryBytes,
      host.diskBytes,
    ])
      assert.ok(number > 0, JSON.stringify(host))
  })

  it("finds root's programs whatever the path", async () => {
    const { PATH } = process.env
    try {
      process.env.PATH = '/nowhere'
      assert.deepEqual((await observeHost()).missing, [])
    } finally {
      process.env.PATH = PATH
    }
  })
})
