/** What Networks are given. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { planNetwork, type NetworkSnapshot } from '../../../../controller/reconcile/network/plan.ts'
import { readCidr, rangeContains, rangesOverlap } from '../../../../proto/base/cidr.ts'
import type { Network, NetworkStatus } from '../../../../proto/gen/types.ts'

const NOW = Date.UTC(2026, 0, 1)

function network(name: string, cidrs: string[] | undefined, status: NetworkStatus = {}): Network {
  return {
    apiVersion: 'gantry.dev/v1',
    kind: 'Network',
    metadata: { name, namespace: 'default', uid: name, resourceVersion: '1', generation: 1 },
    spec: { cidrs },
    status,
  }
}

function given(situation: Partial<NetworkSnapshot> & { network: Network }): NetworkStatus {
  return planNetwork({ others: [], pods: new Map(), taken: ['10.244.0.0/16', '10.96.0.0/16'], ...situation }, NOW)
}

const ready = ({ conditions }: NetworkStatus): string =>
  conditions!.map(({ type, status, reason }) => `${type} ${status} ${reason}`).join()

describe('a Network', () => {
  it('gets the range it asks for, a number, and parts only for nodes with pods on it', () => {
    const status = given({
      network: network('a', ['10.50.0.0/16']),
      pods: new Map([
        ['n1', 3],
        ['n2', 63],
      ]),
    })
    assert.deepEqual(status.cidrs, ['10.50.0.0/16'])
    assert.equal(status.vni, 100)
    assert.deepEqual(status.blocks, [
      { node: 'n1', cidr: '10.50.0.0/26' },
      { node: 'n2', cidr: '10.50.0.64/26' },
      { node: 'n2', cidr: '10.50.0.128/26' },
    ])
    assert.equal(ready(status), 'Ready True Provided')
  })

  it('gets a free range and number where it names none', () => {
    const first = network('a', undefined, given({ network: network('a', undefined) }))
    assert.deepEqual(first.status.cidrs, ['172.24.0.0/20'])
    const second = given({ network: network('b', undefined), others: [first] })
    assert.deepEqual(second.cidrs, ['172.24.16.0/20'])
    assert.equal(second.vni, 101)
  })

  it('of two families gives parts of both', () => {
    const { blocks } = given({ network: network('a', ['10.50.0.0/24', 'fd50::/64']), pods: new Map([['n1', 1]]) })
    assert.deepEqual(
      blocks?.map(({ cidr }) => cidr),
      ['10.50.0.0/27', 'fd50::/122'],
    )
  })

  it('keeps what it was given, and takes a part back when the last pod there has gone', () => {
    const before = network(
      'a',
      ['10.50.0.0/16'],
      given({
        network: network('a', ['10.50.0.0/16']),
        pods: new Map([
          ['n1', 1],
          ['n2', 1],
        ]),
      }),
    )
    const after = given({
      network: before,
      pods: new Map([
        ['n2', 1],
        ['n3', 1],
      ]),
    })
    assert.deepEqual(after.blocks, [
      { node: 'n2', cidr: '10.50.0.64/26' },
      { node: 'n3', cidr: '10.50.0.0/26' },
    ])
    assert.deepEqual(
      given({
        network: network('a', ['10.50.0.0/16'], after),
        pods: new Map([
          ['n2', 1],
          ['n3', 1],
        ]),
      }),
      after,
    )
  })

  describe('whose status somebody else has written', () => {
    const victim = network('a', undefined, {
      cidrs: ['172.24.0.0/20'],
      vni: 100,
      blocks: [{ node: 'n1', cidr: '172.24.0.0/26' }],
    })
    const forged = (cidrs: string[] | undefined, status: NetworkStatus): NetworkStatus =>
      given({ network: network('b', cidrs, status), others: [victim], pods: new Map([['n1', 1]]) })

    it('gets neither the number nor the range of another', () => {
      const { vni, cidrs, blocks } = forged(undefined, victim.status)
      assert.deepEqual([vni, cidrs, blocks], [101, ['172.24.16.0/20'], [{ node: 'n1', cidr: '172.24.16.0/26' }]])
      assert.equal(forged(['10.50.0.0/16'], { ...victim.status }).vni, 101)
    })

    it('gets no other range than the one that it asks for, or that could be chosen for it', () => {
      assert.deepEqual(forged(['10.50.0.0/16'], { cidrs: ['10.0.0.0/8'], vni: 200 }).cidrs, ['10.50.0.0/16'])
      for (const cidr of ['10.0.0.0/8', '172.24.0.0/13', '192.168.0.0/20', '172.24.16.5/20', 'nothing'])
        assert.deepEqual(forged(undefined, { cidrs: [cidr], vni: 200 }).cidrs, ['172.24.16.0/20'], cidr)
      assert.deepEqual(forged(undefined, { cidrs: ['172.25.0.0/20'], vni: 200 }).cidrs, ['172.25.0.0/20'])
    })

    it('gets no number that is none of Networks, and no part twice or outside of its range', () => {
      for (const vni of [1, 99, 2 ** 24])
        assert.equal(forged(['10.50.0.0/16'], { cidrs: ['10.50.0.0/16'], vni }).vni, 101, String(vni))
      const blocks = ['10.50.0.64/26', '10.50.0.64/26', '10.60.0.0/26', '10.50.0.0/16', '10.50.0.1/26', 'x'].map(
        (cidr) => ({ node: 'n1', cidr }),
      )
      assert.deepEqual(forged(['10.50.0.0/16'], { cidrs: ['10.50.0.0/16'], vni: 200, blocks }).blocks, [
        { node: 'n1', cidr: '10.50.0.64/26' },
      ])
    })

    it('takes nothing from the elder, which keeps what it has', () => {
      const { vni, cidrs, blocks } = given({
        network: victim,
        others: [network('b', undefined, victim.status)],
        pods: new Map([['n1', 1]]),
      })
      assert.deepEqual([vni, cidrs, blocks], [100, ['172.24.0.0/20'], victim.status.blocks])
    })
  })

  it('says why it cannot be used', () => {
    assert.equal(ready(given({ network: network('a', ['10.244.9.0/24']) })), 'Ready False RangeOverlaps')
    const small = given({
      network: network('a', ['10.50.0.0/28']),
      pods: new Map(['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', 'n8'].map((node) => [node, 1])),
    })
    assert.equal(ready(small), 'Ready False RangeExhausted')
    assert.match(small.conditions![0]!.message!, /no part left for n5, n6, n7, n8/)
    const full = Array.from({ length: 128 }, (_, index) =>
      network(`o${index}`, undefined, { cidrs: [`172.${24 + Math.floor(index / 16)}.${(index % 16) * 16}.0/20`] }),
    )
    assert.equal(ready(given({ network: network('a', undefined), others: full })), 'Ready False NoRangeFree')
  })

  it('never gives two nodes the same part, whatever comes and goes', () => {
    const step = fc.dictionary(fc.constantFrom('n1', 'n2', 'n3', 'n4'), fc.nat(90), { maxKeys: 4 })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let status: NetworkStatus = {}
        for (const counts of steps) {
          const pods = new Map(Object.entries(counts).filter(([, count]) => count > 0))
          const before = status.blocks ?? []
          status = given({ network: network('a', ['10.50.0.0/22'], status), pods })
          const blocks = status.blocks ?? []
          const ranges = blocks.map(({ cidr }) => readCidr(cidr)!)
          for (const [index, range] of ranges.entries()) {
            assert(rangeContains(readCidr('10.50.0.0/22')!, range))
            assert(ranges.every((other, at) => at === index || !rangesOverlap(range, other)))
          }
          for (const block of before)
            assert(!pods.has(block.node) || blocks.some(({ node, cidr }) => node === block.node && cidr === block.cidr))
          assert(blocks.every(({ node }) => pods.has(node)))
        }
      }),
    )
  })
})
