/** Rules of packet faults as text; what they do to packets is in test/integration/rig-faults-packets.test.ts. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { betweenWords, directionsOf, type LinkSelector, type LinkEndpoint } from '../../../../deploy/rig/faults/link.ts'
import { removalText, rulesText, tableOf } from '../../../../deploy/rig/faults/ruleset.ts'
import { classifyText, classOf } from '../../../../deploy/rig/faults/shaper.ts'

const NAMES = ['controller', 'n1', 'n2', 'n3', 'registry']
const n1: LinkEndpoint = { name: 'n1', addresses: ['10.87.0.11', 'fe80::11'], hardware: ['02:67:0a:57:00:0b'] }
const off: LinkEndpoint = { name: 'n2', addresses: ['10.87.0.12'], hardware: [] }

function values(given: Partial<LinkSelector>): LinkSelector {
  return { from: [], to: undefined, oneWay: undefined, port: undefined, protocol: undefined, ...given }
}

describe('packet faults as text', () => {
  it('meet each packet once, and leave others as they are', () => {
    assert.equal(
      rulesText({
        table: tableOf('f3'),
        arrivingFrom: [n1, off],
        leavingBy: undefined,
        port: 7443,
        protocol: 'tcp',
        verdict: 'drop',
      }),
      `table inet gantry_fault_f3 {}
delete table inet gantry_fault_f3
table netdev gantry_fault_f3 {}
delete table netdev gantry_fault_f3
table inet gantry_fault_f3 {
  chain fate {
    meta l4proto != { tcp } return
    th dport != 7443 th sport != 7443 return
    drop
  }
  chain arriving {
    type filter hook prerouting priority raw; policy accept;
    ip saddr { 10.87.0.11, 10.87.0.12 } goto fate
    ip6 saddr { fe80::11 } goto fate
    ether saddr { 02:67:0a:57:00:0b } goto fate
  }
}
`,
    )
  })

  it('are only removed where nobody is to be met', () => {
    assert.equal(
      rulesText({
        table: 't',
        arrivingFrom: [],
        leavingBy: undefined,
        port: undefined,
        protocol: undefined,
        verdict: 'drop',
      }),
      removalText('t'),
    )
  })

  it('the narrower rate has the later hook', () => {
    const priority = (rate: number): number =>
      Number(/priority (-?\d+)/.exec(classifyText('f1', [n1], rate, undefined, undefined))![1])
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 40 }),
        fc.double({ min: 1.1, max: 1000, noNaN: true }),
        (rate, factor) => {
          assert.ok(priority(rate) > priority(Math.ceil(rate * factor) + 1) || rate < 8)
        },
      ),
    )
  })

  it('every fault has a class of its own', () => {
    const classes = Array.from({ length: 2_000 }, (_, place) => classOf(`f${place + 1}`))
    assert.equal(new Set(classes).size, classes.length)
    assert.ok(classes.every((name) => /^67a0:[0-9a-f]{1,4}$/.test(name) && !name.endsWith(':0')))
  })

  it('directions never lead from a machine to itself, and one way is half of both', () => {
    const sides = fc.record({
      from: fc.subarray(NAMES, { minLength: 1, maxLength: 4 }),
      to: fc.option(fc.subarray(NAMES, { minLength: 1 }), { nil: undefined }),
    })
    fc.assert(
      fc.property(sides, (side) => {
        const others = (side.to ?? NAMES).filter((name) => !side.from.includes(name))
        if (others.length === 0) return assert.throws(() => directionsOf(values(side), NAMES), /no machine is left/)
        const both = directionsOf(values(side), NAMES)
        assert.deepEqual(both, [
          { from: side.from, to: others },
          { from: others, to: side.from },
        ])
        assert.deepEqual(directionsOf(values({ ...side, oneWay: true }), NAMES), both.slice(0, 1))
      }),
    )
  })

  for (const [given, words] of [
    [{ from: ['n1'] }, 'between n1 and all other machines'],
    [{ from: ['n1'], to: ['n2', 'n3'], oneWay: true }, 'from n1 to n2, n3'],
    [
      { from: ['controller-1'], to: ['controller-1', 'controller-2'], port: 2380, protocol: 'tcp' },
      'between controller-1 and controller-2, tcp port 2380',
    ],
  ] as const) {
    it(`says "${words}"`, () => assert.equal(betweenWords(values(given)), words))
  }
})
