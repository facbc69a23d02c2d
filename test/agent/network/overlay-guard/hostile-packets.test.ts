/**
 * VXLAN packets that somebody makes: a pod, a machine that is no peer, a peer that says it is another. All in
 * namespaces of the test.
 */
import assert from 'node:assert/strict'
import type { Attachment } from '../../../../agent/network/contract.ts'
import { overlayMac, VNI } from '../../../../agent/network/fabric/fabric-plan.ts'
import { run } from '../../../../proto/base/command.ts'
import { until } from '../../../eventually.ts'
import { FabricLab, type LabNode } from '../fabric/fabric-lab.ts'
import { Arrivals, forge, send, sendAll } from './vxlan.ts'

/** Ports of datagrams that must not arrive, and of those that show that the way is open. */
const HOSTILE = 4000
const MARK = 4001

describe('packets in the overlay that are not what they say', function () {
  this.timeout(120_000)
  let lab: FabricLab
  let one: LabNode
  let three: LabNode
  let attacker: Attachment
  let victim: Attachment
  let remote: Attachment
  /** Of the remote one. */
  let neighbour: Attachment
  let arrivals: Arrivals
  let marks: number

  before(async () => {
    lab = await FabricLab.make()
    ;[one, three] = await Promise.all([
      lab.node({ number: 1, place: 'switch' }),
      lab.node({ number: 3, place: 'router' }),
    ])
    await lab.follow()
    ;[attacker, victim, remote] = [await one.pod('attacker'), await one.pod('victim'), await three.pod('remote')]
    neighbour = await three.pod('neighbour')
    await until('the pods of both nodes reach each other', () => lab.reaches(remote.netns, victim.address))
  })
  after(() => lab.remove())

  beforeEach(async () => {
    arrivals = await Arrivals.at(victim.netns)
    marks = 0
  })

  /** For the victim, in the first node's overlay device. `family`: of the addresses inside. */
  const forged = (from: Attachment | string, family: 4 | 6 = 4, port = HOSTILE): Buffer => {
    const index = family === 4 ? 0 : 1
    return forge({
      vni: VNI,
      toMac: overlayMac(one.address),
      from: typeof from === 'string' ? from : from.addresses[index]!,
      to: victim.addresses[index]!,
      port,
    })
  }

  /** What was sent before has arrived by now, if it does: a packet that may come the same way has. */
  async function settled(family: 4 | 6 = 4): Promise<void> {
    await send(lab.pin('n3'), one.address, forged(remote, family, MARK), 1)
    marks++
    await until('the packet of the right peer has arrived', async () => (await arrivals.count(MARK)) === marks, 5000)
  }

  for (const family of [4, 6] as const) {
    it(`are not taken from a pod, at any address of its node or of another (IPv${family} inside)`, async () => {
      const content = forged(remote, family)
      await sendAll(
        attacker.netns,
        [one.address, 'fd00:2::1', '10.244.1.1', 'fd00:10:244:1::1'].map((address) => ({ address, content })),
      )
      // As what its own node has: its node's address would make that good.
      await sendAll(
        remote.netns,
        [one.address, '10.244.1.1', 'fd00:10:244:1::1'].flatMap((address) =>
          [neighbour, remote].map((from) => ({ address, content: forged(from, family) })),
        ),
      )
      await settled(family)
      assert.equal(await arrivals.count(HOSTILE), 0)
    })

    it(`are not taken from a machine that is no peer (IPv${family} inside)`, async () => {
      await sendAll(
        lab.pin('router'),
        [remote, attacker].flatMap((from) =>
          [one.address, 'fd00:2::1'].map((address) => ({ address, content: forged(from, family) })),
        ),
      )
      await settled(family)
      assert.equal(await arrivals.count(HOSTILE), 0)
    })

    it(`are not taken from a peer for addresses that live elsewhere (IPv${family} inside)`, async () => {
      const told = lab.update()
      const third = {
        name: 'n9',
        addresses: ['198.51.100.9'],
        podCidrs: ['10.244.9.0/24', 'fd00:10:244:9::/64'],
        labels: {},
        present: true,
      }
      told.set.push({ key: 'PeerNode/n9', entry: { case: 'peer', value: third } })
      await one.follow(told)
      const elsewhere =
        family === 4
          ? ['10.244.9.7', '10.244.2.7', '192.0.2.254', '127.0.0.1', attacker.addresses[0]!]
          : ['fd00:10:244:9::7', 'fd00:10:244:2::7', 'fd00:2::fe', '::1', attacker.addresses[1]!]
      await sendAll(
        lab.pin('n3'),
        elsewhere.map((from) => ({ address: one.address, content: forged(from, family) })),
      )
      await settled(family)
      assert.equal(await arrivals.count(HOSTILE), 0)
      await one.follow()
    })
  }

  it('are not taken by way of a Service that leads to the port of a node', async () => {
    await run('nsenter', [
      `--net=${lab.pin('n3')}`,
      '--',
      'nft',
      `
      table inet test_service { chain prerouting { type nat hook prerouting priority dstnat; policy accept; udp dport 53 ip daddr 10.96.0.9 dnat ip to ${one.address}:8472; }; }`,
    ])
    await send(remote.netns, '10.96.0.9', forged(remote), 3, 53)
    await lab.in('router', 'ip', 'route', 'add', '10.96.0.9/32', 'via', three.address)
    await send(lab.pin('router'), '10.96.0.9', forged(remote), 3, 53)
    await settled()
    assert.equal(await arrivals.count(HOSTILE), 0)
  })

  it('are taken from a peer that has just come, and no more from one that is gone', async () => {
    await one.follow(lab.update([one]))
    await send(lab.pin('n3'), one.address, forged(remote))
    await one.follow()
    await settled()
    assert.equal(await arrivals.count(HOSTILE), 0)
    await send(lab.pin('n3'), one.address, forged(remote))
    await until('the packets of the peer arrive', async () => (await arrivals.count(HOSTILE)) === 3, 5000)
  })

  it('do not come back when somebody has removed the table: it is missed, and made again', async () => {
    await lab.in('n1', 'nft', 'delete', 'table', 'inet', 'gantry_overlay')
    assert.deepEqual(one.overlayGuard.tables(), ['inet gantry_overlay'])
    await one.follow()
    await send(lab.pin('router'), one.address, forged(remote))
    await settled()
    assert.equal(await arrivals.count(HOSTILE), 0)
  })

  it('leave pods free to use that port among themselves', async () => {
    const [inRemote, inVictim] = [lab.talker(remote.netns), lab.talker(victim.netns)]
    await inVictim.listen(8472, 'udp')
    assert.equal(await inRemote.ask(victim.address, 8472, 'udp'), remote.address)
    assert.equal(await lab.talker(attacker.netns).ask(victim.addresses[1]!, 8472, 'udp'), attacker.addresses[1])
  })

  it('a pod sends nothing with a hardware address that is not its own', async () => {
    const liar = await one.pod('liar')
    await lab.in(liar.netns, 'ip', 'link', 'set', 'eth0', 'address', '02:67:00:00:00:01')
    await lab.in(
      liar.netns,
      'ip',
      'neigh',
      'replace',
      '10.244.1.1',
      'lladdr',
      '02:67:74:72:79:00',
      'dev',
      'eth0',
      'nud',
      'permanent',
    )
    await send(liar.netns, victim.address, Buffer.from('x'), 3, HOSTILE)
    await settled()
    assert.equal(await arrivals.count(HOSTILE), 0)
  })
})
