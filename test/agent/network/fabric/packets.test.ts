import assert from 'node:assert/strict'
import type { Attachment } from '../../../../agent/network/contract.ts'
import { FabricLab, type LabNode } from './fabric-lab.ts'

describe('pods of several nodes, by packets', function () {
  this.timeout(180_000)
  let lab: FabricLab

  beforeEach(async () => (lab = await FabricLab.make()))
  afterEach(() => lab.remove())

  async function routesOf(node: LabNode): Promise<string[]> {
    const [v4, v6] = await Promise.all([
      lab.in(node.name, 'ip', 'route', 'show', 'proto', '71'),
      lab.in(node.name, 'ip', '-6', 'route', 'show', 'proto', '71'),
    ])
    return `${v4.stdout}${v6.stdout}`
      .split('\n')
      .map((line) => line.trim().replace(/ metric .*$/, ''))
      .filter((line) => line !== '')
      .sort()
  }

  /** Each pod reaches each other one with the largest packet. */
  async function reachEachOther(pods: readonly (readonly [LabNode, Attachment])[]): Promise<void> {
    for (const [from, { netns }] of pods) {
      for (const [to, { addresses }] of pods) {
        for (const address of addresses)
          assert.ok(
            await lab.reaches(netns, address, to === from ? undefined : from.network.mtu),
            `${from.name} to ${address} of ${to.name}`,
          )
      }
    }
  }

  const both = (): Promise<LabNode[]> =>
    Promise.all([lab.node({ number: 1, place: 'switch' }), lab.node({ number: 3, place: 'router' })])

  it('reach each other by plain routes on a link, and by VXLAN through a router, in both families', async () => {
    const nodes = [
      await lab.node({ number: 1, place: 'switch' }),
      await lab.node({ number: 2, place: 'switch' }),
      await lab.node({ number: 3, place: 'router' }),
    ]
    await lab.follow()
    const pods = await Promise.all(nodes.map(async (node) => [node, await node.pod('a')] as const))
    assert.deepEqual(
      pods.map(([, { addresses }]) => addresses.length),
      [2, 2, 2],
    )
    assert.equal(nodes[0]!.network.mtu, 1450)
    await reachEachOther(pods)
    assert.deepEqual(
      (await routesOf(nodes[0]!)).map((route) => route.replace(' onlink', '').replace(' pref medium', '')),
      [
        '10.244.2.0/24 via 192.0.2.2 dev up0',
        '10.244.3.0/24 via 10.244.3.0 dev gantryvx',
        // No IPv6 address of node 2 is known of: its pods' are reached over its IPv4 address.
        'fd00:10:244:2::/64 via fd00:10:244:2:: dev gantryvx',
        'fd00:10:244:3::/64 via fd00:10:244:3:: dev gantryvx',
      ],
    )
  })

  it('reach each other where there is only IPv6, on a link and through a router', async () => {
    const clusterCidrs = ['fd00:10:244::/48']
    const nodes = await Promise.all([
      lab.node({ number: 1, place: 'switch', underlay: 6, clusterCidrs }),
      lab.node({ number: 2, place: 'switch', underlay: 6, clusterCidrs }),
      lab.node({ number: 3, place: 'router', underlay: 6, clusterCidrs }),
    ])
    await lab.follow()
    assert.equal(nodes[0]!.network.mtu, 1430)
    await reachEachOther(await Promise.all(nodes.map(async (node) => [node, await node.pod('a')] as const)))
    assert.ok((await routesOf(nodes[0]!)).some((route) => route.startsWith('fd00:10:244:2::/64 via fd00:2::2 dev up0')))
  })

  it('use VXLAN on a link, too, where the setting says so', async () => {
    const nodes = await Promise.all([1, 2].map((number) => lab.node({ number, place: 'switch', overlay: 'vxlan' })))
    await lab.follow()
    assert.ok((await routesOf(nodes[0]!)).every((route) => route.includes('dev gantryvx')))
    await reachEachOther(await Promise.all(nodes.map(async (node) => [node, await node.pod('a')] as const)))
    const tracked = async (...which: string[]): Promise<string[]> =>
      (await lab.in('n1', 'conntrack', '-L', ...which)).stdout.split('\n').filter((line) => line !== '')
    assert.notDeepEqual(await tracked('-p', 'icmp'), [], 'connections of pods are tracked')
    assert.deepEqual(await tracked('-p', 'udp', '--orig-port-dst', '8472'), [], 'what they travel in is not')
  })

  it("are seen with their own addresses by pods, and with the node's by everybody else", async () => {
    const [one, three] = await both()
    await lab.follow()
    const [a, b] = [await one!.pod('a'), await three!.pod('b')]
    const [inA, inB, onThree, outside, onOne] = [
      lab.talker(a.netns),
      lab.talker(b.netns),
      lab.talker('n3'),
      lab.talker('router'),
      lab.talker('n1'),
    ]
    await Promise.all([inA, inB, onThree, outside].map((talker) => talker.listen(8080)))
    assert.equal(await inA.ask(b.addresses[0]!, 8080), a.addresses[0])
    assert.equal(await inA.ask(b.addresses[1]!, 8080), a.addresses[1])
    assert.equal(await inB.ask(a.addresses[0]!, 8080), b.addresses[0])
    assert.equal(await inA.ask('192.0.2.254', 8080), '192.0.2.1')
    assert.equal(await inA.ask('fd00:2::fe', 8080), 'fd00:2::1')
    assert.equal(await inA.ask(three!.address, 8080), one!.address, "another node's address is no pod's")
    assert.equal(await inB.ask(three!.address, 8080), b.address, 'its own node sees the pod')
    assert.equal(
      await onOne.ask(b.address, 8080),
      '10.244.1.1',
      "a node through the overlay has its gateway's address, so that the answer comes the same way",
    )
    assert.equal(await onOne.ask(b.addresses[1]!, 8080), 'fd00:10:244:1::1')
  })

  it('keep their connections when the agent begins anew, with nothing of before in memory', async () => {
    const [one, three] = await both()
    await lab.follow()
    const [a, b] = [await one!.pod('a'), await three!.pod('b')]
    const [inA, inB] = [lab.talker(a.netns), lab.talker(b.netns)]
    await inB.listen(8080)
    await inA.open('stream', b.address, 8080)
    const stop = new AbortController()
    let exchanges = 0
    const talking = (async () => {
      while (!stop.signal.aborted) {
        assert.equal(await inA.say('stream', `hello ${exchanges}`), `hello ${exchanges}`)
        exchanges++
      }
    })()
    for (const node of [one!, three!]) {
      await node.fabric.stop()
      await node.start()
      await node.follow()
    }
    stop.abort()
    await talking
    assert.ok(exchanges > 10, `${exchanges} exchanges meanwhile`)
    assert.equal(await inA.say('stream', 'still there'), 'still there')
  })

  it('are reached again when the node has another address', async () => {
    const [one, three] = await both()
    await lab.follow()
    const [a, b] = [await one!.pod('a'), await three!.pod('b')]
    const [inA, inB] = [lab.talker(a.netns), lab.talker(b.netns)]
    await inB.listen(8080)
    await inA.open('stream', b.address, 8080)
    await three!.readdress(
      '198.51.100.33',
      'addr del 198.51.100.3/24 dev up0',
      'addr add 198.51.100.33/24 dev up0',
      'route replace default via 198.51.100.254',
    )
    assert.equal(await lab.reaches(a.netns, b.address), false, 'nobody has been told')
    await lab.follow()
    assert.ok(await lab.reaches(a.netns, b.address, one!.network.mtu))
    assert.ok(await lab.reaches(b.netns, a.addresses[1]!))
    assert.equal(await inA.say('stream', 'as if nothing had been'), 'as if nothing had been')
  })

  it('go on when their node counts as lost, and not when it is removed; reach each other when it is back', async () => {
    const [one, three] = await both()
    await lab.follow()
    const [a, b] = [await one!.pod('a'), await three!.pod('b')]
    const lost = lab.update()
    for (const { entry } of lost.set) if (entry?.case === 'peer') entry.value.present = entry.value.name !== 'n3'
    await one!.follow(lost)
    assert.ok(await lab.reaches(a.netns, b.address))
    await one!.follow(lab.update([one!]))
    assert.deepEqual(await routesOf(one!), [])
    assert.equal((await lab.in('n1', 'bridge', 'fdb', 'show', 'dev', 'gantryvx')).stdout, '')
    assert.equal((await lab.in('n1', 'ip', 'neigh', 'show', 'dev', 'gantryvx')).stdout, '')
    assert.equal(await lab.reaches(a.netns, b.address), false)
    await one!.follow()
    assert.ok(await lab.reaches(a.netns, b.address, one!.network.mtu))
  })

  it("have their routes made right, whatever somebody did to them, and nothing of others' touched", async () => {
    const [one] = await both()
    await lab.follow()
    const routes = await routesOf(one!)
    await lab.ip(
      'n1',
      'route del 10.244.3.0/24',
      'neigh del 10.244.3.0 dev gantryvx',
      'route add 203.0.113.0/24 via 192.0.2.254',
      'route add 10.244.77.0/24 via 192.0.2.254 proto 71',
    )
    await lab.in(
      'n1',
      'sh',
      '-c',
      'bridge fdb show dev gantryvx | while read mac rest; do bridge fdb del $mac dev gantryvx dst 198.51.100.3 self; done',
    )
    await one!.follow()
    assert.deepEqual(await routesOf(one!), routes)
    assert.match((await lab.in('n1', 'ip', 'route', 'show', '203.0.113.0/24')).stdout, /via 192\.0\.2\.254/)
    await lab.ip('n1', 'link del gantryvx')
    await one!.follow()
    assert.deepEqual(await routesOf(one!), routes)
    const [a, b] = [await one!.pod('a'), await lab.nodes.get('n3')!.pod('b')]
    assert.ok(await lab.reaches(a.netns, b.address))
  })
})
