/** What a node does when the control plane tells it of peers whose status holds commands instead of addresses. */
import assert from 'node:assert/strict'
import type { Attachment } from '../../../../agent/network/contract.ts'
import type { NetworkUpdate } from '../../../../proto/gen/types.ts'
import { FabricLab, type LabNode } from './fabric-lab.ts'

describe('peers whose addresses are none', function () {
  this.timeout(120_000)
  let lab: FabricLab
  let one: LabNode
  let three: LabNode
  let a: Attachment
  let b: Attachment

  before(async () => {
    lab = await FabricLab.make()
    ;[one, three] = await Promise.all([
      lab.node({ number: 1, place: 'switch' }),
      lab.node({ number: 3, place: 'router' }),
    ])
    ;[a, b] = [await one.pod('a'), await three.pod('b')]
    await three.follow()
  })
  after(() => lab.remove())

  /** The first node knows nobody: what a test before has led to is gone. */
  beforeEach(async () => {
    await one.follow(lab.update([one]))
    assert.ok(!(await followed()))
  })

  /**
   * The two nodes, and one more that says this of itself; before them, so that what fails for it would fail for them,
   * too.
   */
  function told(addresses: string[], podCidrs: string[]): NetworkUpdate {
    const update = lab.update()
    update.set.unshift({
      key: 'PeerNode/bad',
      entry: { case: 'peer', value: { name: 'bad', addresses, podCidrs, labels: {}, present: true } },
    })
    return update
  }

  /** Whether the first node has a route to the pods of the third. */
  async function followed(): Promise<boolean> {
    return (await lab.in('n1', 'ip', 'route', 'show', 'table', 'all')).stdout.includes(three.ranges.podCidrs[0]!)
  }

  async function links(): Promise<string[]> {
    return (JSON.parse((await lab.in('n1', 'ip', '-json', 'link')).stdout) as { ifname: string }[]).map(
      ({ ifname }) => ifname,
    )
  }

  for (const [what, addresses, podCidrs] of [
    ['a command behind an address', ['10.9.9.9\nlink add held type bridge'], ['10.244.9.0/24']],
    ['a command behind a range', ['198.51.100.9'], ['10.244.9.0/24\nlink add held type bridge']],
    ['options in place of an address', ['-batch'], ['10.244.9.0/24']],
    ['words behind an address', ['198.51.100.9 mark 7'], ['10.244.9.0/24 via 192.0.2.254']],
  ] as const) {
    it(`are left out, and the others are followed: ${what}`, async () => {
      await one.follow(told([...addresses], [...podCidrs]))
      assert.ok(!(await links()).includes('held'), 'a command of the peer was run')
      assert.ok(await followed())
      assert.ok(await lab.reaches(a.netns, b.address))
      assert.equal((await lab.in('n1', 'ip', 'route', 'show', '10.244.9.0/24')).stdout, '')
    })
  }
})
