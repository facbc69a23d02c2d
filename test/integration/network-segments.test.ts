/** Networks of their own by packets: two nodes and a link between them as network namespaces, pods on each. */
import assert from 'node:assert/strict'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClusterView } from '../../agent/network/cluster-view.ts'
import type { SecondaryInterface } from '../../agent/network/contract.ts'
import { OverlayGuard } from '../../agent/network/overlay-guard/overlay-guard.ts'
import { Segments } from '../../agent/network/segments/segments.ts'
import type { PodNetworkRequest } from '../../proto/objects/pod-networks.ts'
import { encode } from '../../proto/codec/wire.ts'
import { run } from '../../proto/base/command.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import type { NetworkEntry } from '../../proto/gen/types.ts'
import { Arrivals, forge, forgeArp, send } from '../agent/network/overlay-guard/vxlan.ts'
import { until } from '../eventually.ts'

const never = new AbortController().signal

class Machines {
  readonly directory: string

  private constructor(directory: string) {
    this.directory = directory
  }

  static async make(): Promise<Machines> {
    const machines = new Machines(await mkdtemp(join(tmpdir(), 'gantry-segments-')))
    await machines.namespace('n1')
    await machines.namespace('n2')
    await machines.in(
      'n1',
      'ip',
      ['-batch', '-'],
      `link add up0 type veth peer name up0 netns ${machines.path('n2')}\naddr add 192.0.2.1/24 dev up0\nlink set up0 up\n`,
    )
    await machines.in('n2', 'ip', ['-batch', '-'], 'addr add 192.0.2.2/24 dev up0\nlink set up0 up\n')
    return machines
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  /** Passes packets on unless told otherwise, as namespaces do on a machine that does. */
  async namespace(name: string): Promise<string> {
    await (await open(this.path(name), 'a')).close()
    await run('unshare', [
      `--net=${this.path(name)}`,
      '--',
      'sh',
      '-c',
      'ip link set lo up; echo 1 > /proc/sys/net/ipv4/ip_forward',
    ])
    return this.path(name)
  }

  in(
    name: string,
    program: string,
    args: readonly string[],
    stdin?: string,
    allow: readonly number[] = [0],
  ): Promise<{ code: number; stdout: string }> {
    return run('nsenter', [`--net=${this.path(name)}`, '--', program, ...args], {
      allow,
      timeout: 20_000,
      ...(stdin === undefined ? {} : { stdin }),
    })
  }

  async reaches(from: string, address: string, size = 56): Promise<boolean> {
    return (
      (
        await this.in(
          from,
          'ping',
          ['-c', '1', '-W', '2', '-M', 'do', '-s', String(size), address],
          undefined,
          [0, 1, 2],
        )
      ).code === 0
    )
  }

  async links(node: string): Promise<string[]> {
    return (JSON.parse((await this.in(node, 'ip', ['-json', 'link', 'show'])).stdout) as { ifname: string }[])
      .map(({ ifname }) => ifname)
      .filter((name) => /^g[sxp]/.test(name))
      .sort()
  }

  async remove(): Promise<void> {
    const { stdout } = await run('findmnt', ['-rno', 'TARGET'])
    const pins = stdout.split('\n').filter((point) => point.startsWith(`${this.directory}/`))
    if (pins.length > 0) await run('umount', pins)
    await rm(this.directory, { recursive: true })
  }
}

function network(
  name: string,
  vni: number,
  cidrs: readonly string[],
  blocks: Readonly<Record<string, readonly string[]>>,
  version: string,
): NetworkEntry {
  const list = Object.entries(blocks).flatMap(([node, parts]) => parts.map((cidr) => ({ node, cidr })))
  return {
    key: `Network/default/${name}`,
    entry: {
      case: 'object',
      value: {
        apiVersion: 'gantry.dev/v1',
        kind: 'Network',
        raw: encode('Network', {
          metadata: { name, namespace: 'default', uid: name, resourceVersion: version },
          status: { cidrs: [...cidrs], vni, blocks: list },
        }),
      },
    },
  }
}

function peer(name: string, address: string): NetworkEntry {
  return {
    key: `PeerNode/${name}`,
    entry: { case: 'peer', value: { name, addresses: [address], podCidrs: [], labels: {}, present: true } },
  }
}

/** A node that follows Networks. */
class SegmentNode {
  readonly name: string
  readonly machines: Machines
  readonly held = new Map<string, readonly SecondaryInterface[]>()
  view = new ClusterView({ podCidrs: [], cluster: { podCidrs: [], serviceCidrs: [], domain: '' } })
  segments!: Segments
  overlayGuard!: OverlayGuard

  constructor(machines: Machines, name: string) {
    this.machines = machines
    this.name = name
    this.restart()
  }

  restart(): void {
    const netns = this.machines.path(this.name)
    this.overlayGuard = new OverlayGuard({ node: this.name, run, netns })
    this.segments = new Segments({
      run,
      logger: silentLogger,
      node: this.name,
      netns,
      vxlanPort: 8472,
      mtu: 1450,
      overlayGuard: this.overlayGuard,
    })
    this.segments.adopt(this.held)
  }

  async told(...set: NetworkEntry[]): Promise<void> {
    const keys = this.view.update([{ complete: false, sequence: 1, revision: 1, set, removed: [], more: false }])
    await this.segments.apply(this.view, { complete: false, keys })
  }

  async removed(key: string): Promise<void> {
    const keys = this.view.update([{ complete: false, sequence: 1, revision: 1, set: [], removed: [key], more: false }])
    await this.segments.apply(this.view, { complete: false, keys })
  }

  async pod(id: string, ...requests: PodNetworkRequest[]): Promise<readonly SecondaryInterface[]> {
    const interfaces = await this.segments.attach(id, await this.machines.namespace(id), 'default', requests, never)
    this.held.set(id, interfaces)
    return interfaces
  }
}

describe('Networks of their own', function () {
  this.timeout(60_000)
  let machines: Machines
  let n1: SegmentNode
  let n2: SegmentNode

  const both = (act: (node: SegmentNode) => Promise<void>): Promise<unknown> => Promise.all([n1, n2].map(act))
  const onBoth = { n1: ['10.50.0.0/26'], n2: ['10.50.0.64/26'] }
  const tell = (...entries: NetworkEntry[]): Promise<unknown> =>
    both((node) => node.told(peer('n1', '192.0.2.1'), peer('n2', '192.0.2.2'), ...entries))

  beforeEach(async () => {
    machines = await Machines.make()
    n1 = new SegmentNode(machines, 'n1')
    n2 = new SegmentNode(machines, 'n2')
  })

  afterEach(async () => machines.remove())

  it('join pods across nodes, under the names asked for, with packets as large as the interface says', async () => {
    await tell(
      network(
        'a',
        100,
        ['10.50.0.0/16', 'fd50::/64'],
        { n1: ['10.50.0.0/26', 'fd50::/122'], n2: ['10.50.0.64/26', 'fd50::40/122'] },
        '1',
      ),
    )
    const [one] = await n1.pod('p1', { network: 'a', interface: 'back' })
    const [two] = await n2.pod('p2', { network: 'a', interface: 'net1' })
    assert.match(one!.mac!, /^02(:[0-9a-f]{2}){5}$/)
    assert.deepEqual(one, {
      mac: one!.mac,
      network: 'default/a',
      interface: 'back',
      addresses: ['10.50.0.1', 'fd50::1'],
    })
    assert.deepEqual(two, {
      mac: two!.mac,
      network: 'default/a',
      interface: 'net1',
      addresses: ['10.50.0.64', 'fd50::40'],
    })
    for (const [from, to] of [
      ['p1', two!],
      ['p2', one!],
    ] as const) {
      for (const address of to.addresses) assert.ok(await machines.reaches(from, address), `${from} reaches ${address}`)
      assert.ok(await machines.reaches(from, to.addresses[0]!, 1500 - 50 - 28))
    }
    const shown = JSON.parse((await machines.in('p1', 'ip', ['-json', 'addr', 'show', 'dev', 'back'])).stdout) as {
      mtu: number
      addr_info: { local: string; prefixlen: number }[]
    }[]
    assert.equal(shown[0]!.mtu, 1450)
    assert.deepEqual(
      shown[0]!.addr_info
        .filter(({ local }) => !local.startsWith('fe80'))
        .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
      ['10.50.0.1/16', 'fd50::1/64'],
    )
  })

  it('are apart from each other and from the nodes: only a pod on both is reached from both', async () => {
    const b = network('b', 101, ['10.60.0.0/16'], { n1: ['10.60.0.0/26'], n2: ['10.60.0.64/26'] }, '1')
    await tell(network('a', 100, ['10.50.0.0/16'], onBoth, '1'), b)
    await n1.pod('a1', { network: 'a', interface: 'net1' })
    const [b1] = await n1.pod('b1', { network: 'b', interface: 'net1' })
    const [inA, inB] = await n2.pod('ab', { network: 'a', interface: 'net1' }, { network: 'b', interface: 'net2' })
    assert.ok(await machines.reaches('a1', inA!.addresses[0]!))
    assert.ok(await machines.reaches('b1', inB!.addresses[0]!))
    // A way for the packets on purpose: that nothing comes is not for want of one.
    await machines.in('a1', 'ip', ['route', 'add', '10.60.0.0/16', 'dev', 'net1'])
    await machines.in('n1', 'ip', ['route', 'add', '10.50.0.0/16', 'dev', 'gs100'])
    assert.deepEqual(
      await Promise.all([machines.reaches('a1', b1!.addresses[0]!), machines.reaches('n1', '10.50.0.1')]),
      [false, false],
    )
    await machines.in('a1', 'ip', ['route', 'replace', '10.60.0.0/16', 'via', inA!.addresses[0]!])
    await machines.in('b1', 'ip', ['route', 'add', '10.50.0.0/16', 'via', inB!.addresses[0]!])
    assert.ok(!(await machines.reaches('a1', b1!.addresses[0]!)), 'the pod on both does not pass it on')
  })

  it('may have the same range twice: pods of each reach their own', async () => {
    await tell(network('a', 100, ['10.50.0.0/16'], onBoth, '1'), network('b', 101, ['10.50.0.0/16'], onBoth, '1'))
    await n1.pod('a1', { network: 'a', interface: 'net1' })
    await n2.pod('b2', { network: 'b', interface: 'net1' })
    assert.ok(!(await machines.reaches('a1', '10.50.0.64')))
    await n2.pod('a2', { network: 'a', interface: 'net1' })
    // The search before, in vain, would be remembered for a moment.
    await machines.in('a1', 'ip', ['neigh', 'flush', 'dev', 'net1'])
    await until('they reach each other', () => machines.reaches('a1', '10.50.0.64'))
  })

  it('keep their pods through a restart of the agent and a new address of a node, and leave nothing when they end', async () => {
    const a = network('a', 100, ['10.50.0.0/16'], onBoth, '1')
    await tell(a)
    await n1.pod('p1', { network: 'a', interface: 'net1' })
    const [two] = await n2.pod('p2', { network: 'a', interface: 'net1' })
    n1.restart()
    await n1.segments.apply(n1.view, { complete: true, keys: n1.view.keys })
    assert.ok(await machines.reaches('p1', two!.addresses[0]!))
    const [three] = await n1.pod('p3', { network: 'a', interface: 'net1' })
    assert.equal(three!.addresses[0], '10.50.0.2')
    await machines.in(
      'n2',
      'ip',
      ['-batch', '-'],
      'addr add 192.0.2.22/24 dev up0\naddr del 192.0.2.2/24 dev up0\naddr replace 192.0.2.22/24 dev up0\n',
    )
    await both((node) => node.told(peer('n2', '192.0.2.22')))
    assert.ok(await machines.reaches('p1', two!.addresses[0]!))
    // Once more, and the agent learns of it only as it begins anew.
    await machines.in(
      'n2',
      'ip',
      ['-batch', '-'],
      'addr add 192.0.2.23/24 dev up0\naddr del 192.0.2.22/24 dev up0\naddr replace 192.0.2.23/24 dev up0\n',
    )
    n2.restart()
    await both((node) => node.told(peer('n2', '192.0.2.23')))
    assert.ok(await machines.reaches('p1', two!.addresses[0]!))
    n1.segments.detach('p3')
    await machines.in('p3', 'ip', ['link', 'del', 'net1'])
    const [again] = await n1.pod('p4', { network: 'a', interface: 'net1' })
    assert.equal(again!.addresses[0], '10.50.0.2')
    await both((node) => node.removed('Network/default/a'))
    for (const name of ['n1', 'n2'])
      assert.deepEqual(
        (await machines.links(name)).filter((link) => !link.startsWith('gp')),
        [],
      )
  })

  it('take packets from a node only as what its pods on the network have', async () => {
    await tell(
      network(
        'a',
        100,
        ['10.50.0.0/16', 'fd50::/64'],
        { n1: ['10.50.0.0/26', 'fd50::/122'], n2: ['10.50.0.64/26', 'fd50::40/122'] },
        '1',
      ),
      network('b', 101, ['10.60.0.0/16'], { n1: ['10.60.0.0/26'] }, '1'),
    )
    await n1.pod('a1', { network: 'a', interface: 'net1' })
    await n1.pod('b1', { network: 'b', interface: 'net1' })
    const [inA, inB] = [await Arrivals.at(machines.path('a1')), await Arrivals.at(machines.path('b1'))]
    await machines.in('a1', 'nft', [
      'table arp test { chain input { type filter hook input priority 0; arp saddr ip 10.50.0.9 counter; }; }',
    ])
    const macOf = async (pod: string): Promise<string> =>
      (
        JSON.parse((await machines.in(pod, 'ip', ['-json', 'link', 'show', 'net1'])).stdout) as { address: string }[]
      )[0]!.address
    const [toA, toB] = [await macOf('a1'), await macOf('b1')]
    const fromN2 = (content: Buffer, count = 3): Promise<void> => send(machines.path('n2'), '192.0.2.1', content, count)
    // Another node's addresses in the network, also in what says where an address is; a network that the node is not
    // on.
    await fromN2(forge({ vni: 100, toMac: toA, from: '10.50.0.9', to: '10.50.0.1', port: 4000 }))
    await fromN2(forge({ vni: 100, toMac: toA, from: 'fd50::9', to: 'fd50::1', port: 4000 }))
    await fromN2(forge({ vni: 100, toMac: toA, from: 'fe80::9', to: 'fd50::1', port: 4000 }))
    await fromN2(forgeArp(100, toA, '02:00:00:00:00:66', '10.50.0.9', '10.50.0.1'))
    await fromN2(forge({ vni: 101, toMac: toB, from: '10.60.0.64', to: '10.60.0.1', port: 4000 }))
    await fromN2(forge({ vni: 101, toMac: toB, from: '10.50.0.64', to: '10.60.0.1', port: 4000 }))
    await fromN2(forge({ vni: 100, toMac: toA, from: '10.50.0.70', to: '10.50.0.1', port: 4001 }), 1)
    await fromN2(forge({ vni: 100, toMac: toA, from: 'fd50::50', to: 'fd50::1', port: 4001 }), 1)
    await until('what is right has arrived', async () => (await inA.count(4001)) === 2, 5000)
    assert.equal(await inA.count(4000), 0)
    assert.equal(await inB.count(4000), 0)
    assert.match((await machines.in('a1', 'nft', ['list', 'table', 'arp', 'test'])).stdout, /counter packets 0 /)
  })

  it('let a pod say only what is its own, on its node and to others', async () => {
    await tell(
      network(
        'a',
        100,
        ['10.50.0.0/16', 'fd50::/64'],
        { n1: ['10.50.0.0/26', 'fd50::/122'], n2: ['10.50.0.64/26', 'fd50::40/122'] },
        '1',
      ),
    )
    const [mine] = await n1.pod('a1', { network: 'a', interface: 'net1' })
    const [near] = await n1.pod('a2', { network: 'a', interface: 'net1' })
    const [far] = await n2.pod('a3', { network: 'a', interface: 'net1' })
    const counted = [await Arrivals.at(machines.path('a2')), await Arrivals.at(machines.path('a3'))]
    const targets = [near!, far!]
    const say = async (port: number): Promise<void> => {
      for (const { addresses } of targets)
        for (const address of addresses) await send(machines.path('a1'), address, Buffer.from('x'), 1, port)
    }
    await say(4001)
    await until(
      'what is right has arrived',
      async () => (await Promise.all(counted.map((one) => one.count(4001)))).every((count) => count === 2),
      5000,
    )
    // As another: first by its addresses, then by its hardware address.
    const neighbours = targets
      .flatMap(({ addresses, mac }) =>
        addresses.map((address) => `neigh replace ${address} lladdr ${mac!} dev net1 nud permanent\n`),
      )
      .join('')
    await machines.in(
      'a1',
      'ip',
      ['-batch', '-'],
      `addr flush dev net1\naddr add 10.50.0.9/16 dev net1\naddr add fd50::9/64 dev net1 nodad\n${neighbours}`,
    )
    await say(4000)
    const own = mine!.addresses
      .map((address) => `addr add ${address}${address.includes(':') ? '/64 dev net1 nodad' : '/16 dev net1'}\n`)
      .join('')
    await machines.in(
      'a1',
      'ip',
      ['-batch', '-'],
      `addr flush dev net1\n${own}link set net1 address ${near!.mac!}\n${neighbours}`,
    )
    await say(4000)
    await machines.in('a1', 'ip', ['-batch', '-'], `link set net1 address ${mine!.mac!}\n${neighbours}`)
    await say(4001)
    await until(
      'what is right has arrived',
      async () => (await Promise.all(counted.map((one) => one.count(4001)))).every((count) => count === 4),
      5000,
    )
    for (const one of counted) assert.equal(await one.count(4000), 0)
  })

  it('are no way to the node, nor through it: a pod that says it is a node puts nothing into the overlay', async () => {
    await tell(network('a', 100, ['10.50.0.0/16'], onBoth, '1'))
    await n1.pod('a1', { network: 'a', interface: 'net1' })
    await n1.pod('a2', { network: 'a', interface: 'net1' })
    const count = (hook: string): string =>
      `chain ${hook} { type filter hook ${hook} priority 0; iifname "gs*" udp dport { 4000, 8472 } counter; }`
    await machines.in('n1', 'nft', [`table inet test { ${count('input')}; ${count('forward')}; }`])
    const arrivals = await Arrivals.at(machines.path('a2'))
    const linkOf = async (name: string, device: string): Promise<string> =>
      (
        JSON.parse((await machines.in(name, 'ip', ['-json', 'link', 'show', device])).stdout) as { address: string }[]
      )[0]!.address
    const [bridge, victim] = [await linkOf('n1', 'gs100'), await linkOf('a2', 'net1')]
    // As its neighbour on the link between nodes: what it sends has that node's address.
    await machines.in(
      'a1',
      'ip',
      ['-batch', '-'],
      ['192.0.2.1', '192.0.2.2']
        .map((to) => `route add ${to}/32 dev net1\nneigh replace ${to} lladdr ${bridge} dev net1 nud permanent\n`)
        .join(''),
    )
    for (const to of ['192.0.2.1', '192.0.2.2']) await send(machines.path('a1'), to, Buffer.from('x'), 3, 4000)
    await machines.in(
      'a1',
      'ip',
      ['-batch', '-'],
      'addr add 192.0.2.2/32 dev net1\nroute replace 192.0.2.1/32 dev net1 src 192.0.2.2\n',
    )
    await send(
      machines.path('a1'),
      '192.0.2.1',
      forge({ vni: 100, toMac: victim, from: '10.50.0.64', to: '10.50.0.2', port: 4000 }),
    )
    await send(machines.path('a1'), '10.50.0.2', Buffer.from('x'), 1, 4001)
    await until('what goes from pod to pod has arrived', async () => (await arrivals.count(4001)) === 1, 5000)
    assert.equal(await arrivals.count(4000), 0)
    for (const [, packets] of (await machines.in('n1', 'nft', ['list', 'table', 'inet', 'test'])).stdout.matchAll(
      /counter packets (\d+)/g,
    ))
      assert.equal(packets, '0')
  })

  it('forget what an agent left that is gone from the cluster', async () => {
    await tell(network('a', 100, ['10.50.0.0/16'], onBoth, '1'))
    assert.deepEqual(await machines.links('n1'), ['gs100', 'gx100'])
    n1.view = new ClusterView(n1.view.ranges)
    n1.restart()
    await n1.told(peer('n1', '192.0.2.1'))
    assert.deepEqual(await machines.links('n1'), [])
  })

  it('wait for a part for this node, and say which network there is not, and that it is full', async () => {
    await tell(network('a', 100, ['10.50.0.0/29'], { n2: ['10.50.0.4/30'] }, '1'))
    const waiting = n1.pod('p1', { network: 'a', interface: 'net1' })
    await tell(network('a', 100, ['10.50.0.0/29'], { n1: ['10.50.0.0/30'], n2: ['10.50.0.4/30'] }, '2'))
    assert.equal((await waiting)[0]!.addresses[0], '10.50.0.1')
    await n1.pod('p2', { network: 'a', interface: 'net1' })
    await n1.pod('p3', { network: 'a', interface: 'net1' })
    await assert.rejects(n1.pod('p4', { network: 'a', interface: 'net1' }), { code: 'ResourceExhausted' })
    await assert.rejects(n1.pod('p5', { network: 'none', interface: 'net1' }), { code: 'NotFound' })
    const stopping = new AbortController()
    const never = n1.segments.attach(
      'p6',
      machines.path('p5'),
      'default',
      [
        { network: 'a', interface: 'net9' },
        { network: 'later', interface: 'net1' },
      ],
      stopping.signal,
    )
    await assert.rejects(never, { code: 'NotFound' })
  })
})
