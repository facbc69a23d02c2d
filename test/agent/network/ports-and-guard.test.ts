import assert from 'node:assert/strict'
import { run } from '../../../proto/base/command.ts'
import { portName } from '../../../agent/network/commands.ts'
import { FabricLab, type LabNode } from './fabric/fabric-lab.ts'

describe('a node and its pods, by packets', function () {
  this.timeout(60_000)
  let lab: FabricLab
  let node: LabNode

  beforeEach(async () => {
    lab = await FabricLab.make()
    node = await lab.node({ number: 1, place: 'switch' })
  })
  afterEach(() => lab.remove())

  /** Whether frames in a bridge pass the hooks of IP as well: as on a machine with Docker, or as without. */
  async function filterInBridges(on: boolean): Promise<void> {
    await lab.in(
      'n1',
      'sh',
      '-c',
      `for name in iptables ip6tables; do setting=/proc/sys/net/bridge/bridge-nf-call-$name; [ ! -e $setting ] || echo ${on ? 1 : 0} > $setting; done`,
    )
  }

  for (const inBridge of [false, true]) {
    it(`translates an address to a pod of the same node, also the asking one${inBridge ? ', where bridges are filtered' : ''}`, async () => {
      await filterInBridges(inBridge)
      const [a, b] = [await node.pod('a'), await node.pod('b')]
      await run('nsenter', [`--net=${lab.pin('n1')}`, '--', 'nft', '-f', '-'], {
        stdin: `
        table inet test_service {
          chain prerouting { type nat hook prerouting priority dstnat; policy accept; ip daddr 10.96.0.1 dnat ip to ${b.addresses[0]!}; ip6 daddr fd00:10:96::1 dnat ip6 to ${b.addresses[1]!}; }
          chain postrouting { type nat hook postrouting priority srcnat; policy accept; oifname "gv*" ct status dnat ip saddr ${b.addresses[0]!} masquerade; }
          chain forward { type filter hook forward priority filter; policy accept; iifname "gv*" oifname "gv*" counter; }
        }`,
      })
      const [inA, inB] = [lab.talker(a.netns), lab.talker(b.netns)]
      await Promise.all([inB.listen(80), inB.listen(80, 'udp')])
      assert.equal(await inA.ask(b.address, 80), a.address)
      assert.equal(await inA.ask('10.96.0.1', 80), a.address)
      assert.equal(await inA.ask('10.96.0.1', 80, 'udp'), a.address)
      assert.equal(await inA.ask('fd00:10:96::1', 80), a.addresses[1])
      assert.equal(await inB.ask('10.96.0.1', 80), '10.244.1.1', 'itself, by way of the gateway')
      assert.ok(await lab.reaches(a.netns, b.address, node.network.mtu))
      const { stdout } = await lab.in('n1', 'nft', 'list', 'chain', 'inet', 'test_service', 'forward')
      assert.ok(
        Number(/counter packets (\d+)/.exec(stdout)![1]) > 10,
        'every packet between pods passes the forward hook',
      )
    })

    it(`lets a pod send only as itself and only to the node${inBridge ? ', where bridges are filtered' : ''}`, async () => {
      await filterInBridges(inBridge)
      const [a, b] = [await node.pod('a'), await node.pod('b')]
      assert.ok((await lab.reaches(a.netns, b.address)) && (await lab.reaches(a.netns, b.addresses[1]!)))
      const macOf = async (netns: string): Promise<string> =>
        (JSON.parse((await lab.in(netns, 'ip', '-json', 'link', 'show', 'eth0')).stdout) as { address: string }[])[0]!
          .address
      const macB = await macOf(b.netns)
      // Straight to the other pod, past the node's rules.
      await lab.in(a.netns, 'ip', 'neigh', 'replace', b.address, 'lladdr', macB, 'dev', 'eth0')
      await lab.in(a.netns, 'ip', 'route', 'add', `${b.address}/32`, 'dev', 'eth0')
      assert.equal(await lab.reaches(a.netns, b.address), false, 'past the node')
      await lab.in(a.netns, 'ip', 'route', 'del', `${b.address}/32`, 'dev', 'eth0')
      assert.ok(await lab.reaches(a.netns, b.address))
      // With another's address.
      await Promise.all(
        (
          [
            ['10.244.1.77', 32, b.address],
            ['fd00:10:244:1::77', 128, b.addresses[1]!],
          ] as const
        ).map(async ([other, mask, target]) => {
          await lab.in(a.netns, 'ip', 'addr', 'add', `${other}/${mask}`, 'dev', 'eth0', 'nodad')
          assert.equal(
            (await lab.in(a.netns, 'ping', '-n', '-c', '1', '-W', '1', '-I', other, target)).code,
            1,
            `as ${other}`,
          )
          await lab.in(a.netns, 'ip', 'addr', 'del', `${other}/${mask}`, 'dev', 'eth0')
        }),
      )
      // With another's hardware address: what is meant for that one does not come here.
      await lab.in(a.netns, 'ip', 'link', 'set', 'eth0', 'address', macB)
      await lab.in(a.netns, 'ping', '-n', '-c', '1', '-W', '1', '10.244.1.1')
      assert.ok(await lab.reaches('n1', b.address), 'the other pod is still found')
      assert.ok(await lab.reaches(b.netns, '10.244.1.1'))
    })
  }

  it('leads ports of the node to pods: from outside, from the node, from other pods and from the same one', async () => {
    const pod = await node.pod('web', {
      hostPorts: [
        { protocol: 'TCP', hostPort: 8080, containerPort: 80, hostIP: undefined },
        { protocol: 'UDP', hostPort: 8080, containerPort: 53, hostIP: undefined },
        { protocol: 'TCP', hostPort: 8081, containerPort: 80, hostIP: '192.0.2.1' },
        { protocol: 'TCP', hostPort: 8082, containerPort: 80, hostIP: '127.0.0.1' },
      ],
    })
    const other = await node.pod('other')
    const [inPod, inOther, onNode, outside] = [
      lab.talker(pod.netns),
      lab.talker(other.netns),
      lab.talker('n1'),
      lab.talker('router'),
    ]
    await Promise.all([inPod.listen(80), inPod.listen(53, 'udp')])
    assert.equal(await outside.ask('192.0.2.1', 8080), '192.0.2.254', 'whoever asks is seen')
    assert.equal(await outside.ask('192.0.2.1', 8080, 'udp'), '192.0.2.254')
    assert.equal(await outside.ask('fd00:2::1', 8080), 'fd00:2::fe')
    assert.equal(await outside.ask('192.0.2.1', 8081), '192.0.2.254')
    await assert.rejects(outside.ask('fd00:2::1', 8081), /ECONNREFUSED/)
    await assert.rejects(outside.ask('192.0.2.1', 8082), /ECONNREFUSED/)
    assert.equal(await onNode.ask('192.0.2.1', 8080), '192.0.2.1')
    assert.equal(await onNode.ask('127.0.0.1', 8080), '10.244.1.1')
    assert.equal(await onNode.ask('127.0.0.1', 8082), '10.244.1.1')
    assert.equal(await inOther.ask('192.0.2.1', 8080), other.address)
    assert.equal(await inPod.ask('192.0.2.1', 8080), '10.244.1.1', 'itself, by way of the gateway')
    await lab.in(other.netns, 'ip', 'route', 'add', '127.0.0.9/32', 'via', '10.244.1.1')
    await onNode.listen(9000)
    await assert.rejects(inOther.ask('127.0.0.9', 9000), "the node's loopback is nothing for pods")
    // Said by the node: a kernel that looks for a neighbour gives up after three seconds, and the asking one does after
    // two.
    await assert.rejects(inOther.ask('10.244.1.200', 80), /EHOSTUNREACH/)
  })

  it('refuses a host port that another pod has, and gives it on when that one is gone', async () => {
    const port = (
      hostIP?: string,
    ): {
      hostPorts: { protocol: 'TCP' | 'UDP'; hostPort: number; containerPort: number; hostIP: string | undefined }[]
    } => ({
      hostPorts: [
        { protocol: 'UDP', hostPort: 5300, containerPort: 53, hostIP },
        { protocol: 'TCP', hostPort: 5300, containerPort: 53, hostIP },
      ],
    })
    await node.pod('a', port())
    const refused = { code: 'Conflict', message: 'host port 5300/UDP is that of pod a' }
    await assert.rejects(node.network.attach('b', port()), refused)
    await assert.rejects(node.network.attach('b', port('192.0.2.1')), refused)
    const outside = lab.talker('router')
    const asking = await outside.ask('192.0.2.1', 5300, 'udp').then(
      () => 'answered',
      () => 'refused',
    )
    assert.equal(asking, 'refused', 'nobody listens yet')
    await node.network.detach('a')
    node.pods.delete('a')
    const b = await node.pod('b', port('192.0.2.1'))
    const inB = lab.talker(b.netns)
    await Promise.all([inB.listen(53), inB.listen(53, 'udp')])
    assert.equal(await outside.ask('192.0.2.1', 5300, 'udp'), '192.0.2.254')
    // The next run of the agent carries on with it.
    await node.start()
    assert.equal(await outside.ask('192.0.2.1', 5300), '192.0.2.254')
    await assert.rejects(node.network.attach('c', port()), {
      code: 'Conflict',
      message: 'host port 5300/UDP of 192.0.2.1 is that of pod b',
    })
    await node.network.detach('b')
    node.pods.delete('b')
    assert.doesNotMatch((await lab.in('n1', 'nft', 'list', 'table', 'inet', 'gantry_hostports')).stdout, /elements/)
  })

  it('takes over pods of an agent that had a bridge', async () => {
    const [a, b] = [await node.pod('a'), await node.pod('b')]
    const ports = [a, b].map(({ address }) => portName(address))
    await lab.ip(
      'n1',
      'link del gantry0',
      'link add gantry0 type bridge',
      'addr add 10.244.1.1/24 dev gantry0',
      'addr add fd00:10:244:1::1/64 dev gantry0 nodad',
      'link set gantry0 up',
      ...ports.flatMap((port) => [
        `addr flush dev ${port}`,
        `link set ${port} master gantry0`,
        `link set ${port} address 02:00:00:00:00:07`,
      ]),
    )
    await run('nsenter', [
      `--net=${lab.pin('n1')}`,
      '--',
      'nft',
      'table bridge gantry_guard { chain prerouting { type filter hook prerouting priority -300; policy drop; }; }',
    ])
    await node.start()
    const inB = lab.talker(b.netns)
    await inB.listen(80)
    for (const [index, address] of b.addresses.entries())
      assert.equal(await lab.talker(a.netns).ask(address, 80), a.addresses[index])
    assert.equal(await lab.talker('n1').ask(b.address, 80), '10.244.1.1')
  })

  it('keeps living pods reachable when the node comes to have other ranges and another MTU', async () => {
    const old = await node.pod('old')
    const inOld = lab.talker(old.netns)
    await inOld.listen(80)
    const ranges = { podCidrs: ['10.244.9.0/24', 'fd00:10:244:9::/64'], cluster: node.ranges.cluster }
    await lab.ip('n1', 'link set up0 mtu 1400')
    await node.start()
    await node.network.start(ranges, node.pods)
    assert.equal(node.network.mtu, 1350)
    const fresh = await node.pod('fresh')
    assert.match(fresh.address, /^10\.244\.9\./)
    assert.ok(await lab.reaches(fresh.netns, old.address, 1350))
    assert.ok(await lab.reaches(old.netns, fresh.addresses[1]!, 1350))
    assert.match((await lab.in(old.netns, 'ip', 'link', 'show', 'eth0')).stdout, /mtu 1350/)
    const outside = lab.talker('router')
    await outside.listen(80)
    assert.equal(await inOld.ask('192.0.2.254', 80), '192.0.2.1')
    assert.equal(await lab.talker(fresh.netns).ask(old.address, 80), fresh.address)
  })
})
