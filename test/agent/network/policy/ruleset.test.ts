/** The table as it is to be, and the scripts that lead to it. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  blockRanges,
  mergeRanges,
  subtractRanges,
  type NumberRange,
} from '../../../../agent/network/policy/address-ranges.ts'
import { changeScripts as changes } from '../../../../agent/network/policy/change-script.ts'
import {
  EMPTY_POLICY_TABLE,
  policyTable,
  SetElements,
  type PolicyTable,
} from '../../../../agent/network/policy/ruleset.ts'
import { namespaceOf, podOf, policyOf, PolicyWorld } from '../../../controller/dispatch/network/policy-fixture.ts'

const changeScripts = (before: PolicyTable | undefined, after: PolicyTable): string[] =>
  changes(before, after).map(({ text }) => text)

const small = fc
  .tuple(fc.nat({ max: 40 }), fc.nat({ max: 10 }))
  .map(([first, length]): NumberRange => ({ first: BigInt(first), last: BigInt(first + length) }))
const numbers = (ranges: readonly NumberRange[]): number[] =>
  ranges.flatMap(({ first, last }) =>
    Array.from({ length: Number(last - first) + 1 }, (_, index) => Number(first) + index),
  )

describe('ranges', () => {
  it('have the same numbers joined, each once and in order', () => {
    fc.assert(
      fc.property(fc.array(small), (ranges) => {
        const result = mergeRanges(ranges)
        assert.deepEqual(
          numbers(result),
          [...new Set(numbers(ranges))].sort((a, b) => a - b),
        )
        result.slice(1).forEach((range, index) => assert.ok(range.first > result[index]!.last + 1n))
      }),
    )
  })

  it('have what the gaps leave', () => {
    fc.assert(
      fc.property(small, fc.array(small), (range, gaps) => {
        const missing = new Set(numbers(gaps))
        assert.deepEqual(
          numbers(subtractRanges(range, gaps)),
          numbers([range]).filter((number) => !missing.has(number)),
        )
      }),
    )
  })

  it('are made of the blocks of one family', () => {
    const blocks = [
      { cidr: '10.0.0.0/24', except: ['10.0.0.128/25', '10.0.0.0/32'] },
      { cidr: '10.0.0.0/30', except: [] },
      { cidr: '192.0.2.1/32', except: [] },
      { cidr: 'fd00::/126', except: ['fd00::2/128'] },
    ]
    assert.deepEqual(blockRanges(4, blocks), ['10.0.0.0-10.0.0.127', '192.0.2.1'])
    assert.deepEqual(blockRanges(6, blocks), ['fd00::-fd00::1', 'fd00::3'])
    assert.deepEqual(blockRanges(6, blocks.slice(0, 1)), [])
  })

  it('cannot be made of what is none', () => {
    assert.throws(() => blockRanges(4, [{ cidr: '10.0.0.0', except: [] }]), { code: 'InvalidArgument' })
  })
})

describe('the table of policies', () => {
  const clients = { podSelector: { matchLabels: { app: 'client' } } }
  const web = (rules: object[]) =>
    policyOf('web', { podSelector: { matchLabels: { app: 'web' } }, ingress: rules } as never)
  let world: PolicyWorld
  let elements: SetElements

  beforeEach(() => {
    elements = new SetElements()
    world = new PolicyWorld([
      namespaceOf('default'),
      podOf('web', { labels: { app: 'web' }, addresses: ['10.9.1.2', 'fd00:9::2'] }),
      podOf('client', { labels: { app: 'client' }, node: 'b', addresses: ['10.9.2.2'] }),
    ])
  })

  function table(given: Record<string, string[]> = {}): PolicyTable {
    const { view } = world.node('a')
    world.flush()
    return policyTable(view, new Map(Object.entries(given)), elements)
  }

  it('is none without guarded pods', () => {
    assert.equal(table(), EMPTY_POLICY_TABLE)
    assert.deepEqual(changeScripts(EMPTY_POLICY_TABLE, EMPTY_POLICY_TABLE), [])
    assert.deepEqual(changeScripts(undefined, EMPTY_POLICY_TABLE), [
      'add table inet gantry_policy\ndelete table inet gantry_policy\nadd table inet gantry_policy_deputy\ndelete table inet gantry_policy_deputy\n',
    ])
  })

  it('shares chains between pods with the same policies, and has one rule for many blocks and ports', () => {
    world.put(
      podOf('web2', { labels: { app: 'web' }, addresses: ['10.9.1.3'] }),
      web([
        {
          from: [{ ipBlock: { cidr: '10.0.0.0/24' } }, { ipBlock: { cidr: '10.0.1.0/24' } }],
          ports: [{ port: 80 }, { port: 81 }, { port: 85, endPort: 90 }, { protocol: 'UDP' }],
        },
      ]),
    )
    const { chains, verdicts } = table()
    assert.deepEqual([...verdicts.get('in4')!.keys()].sort(), ['10.9.1.2', '10.9.1.3'])
    assert.equal(new Set(verdicts.get('in4')!.values()).size, 1)
    assert.deepEqual(chains.get(verdicts.get('in4')!.get('10.9.1.2')!)!.map(String), [
      'ip saddr { 10.0.0.0-10.0.1.255 } tcp dport { 80-81, 85-90 } return',
      'ip saddr { 10.0.0.0-10.0.1.255 } meta l4proto udp return',
      'ip saddr . ip daddr @self4 return',
      'goto refuse',
    ])
    assert.deepEqual(chains.get(verdicts.get('in6')!.get('fd00:9::2')!)!.map(String), [
      'ip6 saddr . ip6 daddr @self6 return',
      'goto refuse',
    ])
    assert.equal(verdicts.get('out4')!.size, 0)
  })

  it('changes a set by elements, and nothing else', () => {
    world.put(web([{ from: [clients] }]))
    const before = table()
    world.put(podOf('client2', { labels: { app: 'client' }, node: 'b', addresses: ['10.9.2.3'] }))
    const [script, ...more] = changeScripts(before, table())
    assert.deepEqual(more, [])
    assert.match(script!, /^add element inet gantry_policy p4_\w+ \{ 10\.9\.2\.3 \}\n$/)
    world.remove(podOf('client', { labels: { app: 'client' } }))
    world.remove(podOf('client2', { labels: { app: 'client' } }))
    assert.match(
      changeScripts(before, table()).join(),
      /^delete element inet gantry_policy p4_\w+ \{ 10\.9\.2\.2 \}\n$/,
    )
  })

  it('differs in nothing when nothing has changed', () => {
    world.put(web([{ from: [clients], ports: [{ port: 'http' }] }]))
    assert.deepEqual(changeScripts(table(), table()), [])
  })

  it('moves a pod to other policies by the rule of its own chain, and leaves its element', () => {
    world.put(web([{ from: [clients] }]))
    const before = table()
    world.put(web([]))
    const after = table()
    const [from, to] = [before, after].map(({ verdicts }) => verdicts.get('in4')!.get('10.9.1.2')!)
    const [script, ...more] = changeScripts(before, after)
    assert.deepEqual(more, [])
    assert.doesNotMatch(script!, /element inet gantry_policy in[46] /)
    assert.ok(
      script!.includes(
        `flush chain inet gantry_policy pod_in4_10.9.1.2\nadd rule inet gantry_policy pod_in4_10.9.1.2 goto ${to}\n`,
      ),
      script,
    )
    assert.ok(script!.includes('flush chain inet gantry_policy pod_in6_fd00_9__2\n'), script)
    assert.ok(script!.includes(`delete chain inet gantry_policy ${from}\n`), script)
  })

  it('is replaced while a deputy has the same in it, when it is not known what is there', () => {
    world.put(web([{ from: [clients] }]))
    const [deputy, main, end, ...more] = changeScripts(undefined, table())
    assert.deepEqual(more, [])
    assert.equal(deputy, main!.replaceAll('inet gantry_policy', 'inet gantry_policy_deputy'))
    assert.equal(end, 'add table inet gantry_policy_deputy\ndelete table inet gantry_policy_deputy\n')
  })

  it('cuts long lists of elements', () => {
    world.put(
      web([{ from: [clients] }]),
      ...Array.from({ length: 1200 }, (_, index) =>
        podOf(`c${index}`, { labels: { app: 'client' }, node: 'b', addresses: [`10.8.${index >> 8}.${index & 255}`] }),
      ),
    )
    const lines = changeScripts(EMPTY_POLICY_TABLE, table())
      .join()
      .split('\n')
      .filter((line) => line.startsWith('add element inet gantry_policy p4_'))
    assert.deepEqual(
      lines.map((line) => line.split(',').length),
      [500, 500, 201],
    )
  })

  it('goes by the addresses that the node gave, not by what was told before', () => {
    world.put(web([]))
    assert.deepEqual(
      [
        ...table({ 'uid-default-web': ['10.9.1.9'] })
          .verdicts.get('in4')!
          .keys(),
      ],
      ['10.9.1.9'],
    )
    assert.equal(table({ other: ['10.9.1.2', 'fd00:9::2'] }), EMPTY_POLICY_TABLE)
  })

  it('refuses everything when a guard names rules and sets that were not told', () => {
    const view = {
      entries: (entry: string) =>
        new Map(
          entry === 'guarded'
            ? [
                [
                  'GuardedPod/x',
                  { uid: 'x', addresses: ['10.9.1.2'], ingress: true, egress: false, rules: ['default/gone'] },
                ],
              ]
            : [],
        ),
    }
    const { chains } = policyTable(view as never, new Map(), elements)
    assert.deepEqual(
      [...chains.values()].map((lines) => lines.map(String)),
      [['ip saddr . ip daddr @self4 return', 'goto refuse']],
    )
  })
})
