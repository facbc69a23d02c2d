import assert from 'node:assert/strict'
import { evaluateProbes } from '../../../../controller/dispatch/netcheck/evaluation.ts'
import {
  planProbes,
  type CheckSubjects,
  type Participant,
  type PlannedProbe,
} from '../../../../controller/dispatch/netcheck/probe-plan.ts'
import type { NetCheckProbeResult, NetCheckResult } from '../../../../proto/gen/types.ts'

const SUBJECTS: CheckSubjects = {
  nodes: [],
  service: {
    name: 'default/kubernetes',
    addresses: ['10.96.0.1'],
    port: 443,
    dnsName: 'kubernetes.default.svc.cluster.local',
  },
  name: '',
  outward: undefined,
}

function participant(number: number, addresses = [`10.244.${number}.9`]): Participant {
  return {
    node: `n${number}`,
    ready: {
      addresses,
      port: 7,
      mtu: 1450,
      gateway: '10.87.0.1',
      nodeAddress: `10.87.0.1${number}`,
      resolver: '169.254.20.10',
    },
  }
}

describe('a check of the network', () => {
  const three = [1, 2, 3].map((number) => participant(number))

  it('has every node try every other, and each what all need', () => {
    const planned = planProbes(three, SUBJECTS)
    for (const check of ['pod network tcp', 'pod network udp', 'pod network mtu', 'node address'] as const) {
      assert.deepEqual(
        planned.filter((one) => one.check === check).map(({ node, peer }) => `${node}${peer}`),
        ['n1n2', 'n1n3', 'n2n1', 'n2n3', 'n3n1', 'n3n2'],
        check,
      )
    }
    for (const check of ['tables', 'host to pod', 'service', 'name', 'outward'] as const)
      assert.deepEqual(
        planned.filter((one) => one.check === check).map(({ node }) => node),
        ['n1', 'n2', 'n3'],
        check,
      )
    assert.equal(new Set(planned.map(({ probe }) => probe.id)).size, planned.length)
    assert.deepEqual(
      planned
        .filter(({ probe }) => probe.fromHost)
        .map(({ check }) => check)
        .filter((check) => check !== 'node address' && check !== 'host to pod'),
      [],
    )
  })

  it('of some nodes tries what they send and receive only', () => {
    const planned = planProbes(three, {
      ...SUBJECTS,
      nodes: ['n2'],
      outward: { address: '203.0.113.9', port: 443 },
      name: 'example.com',
    })
    assert.deepEqual(
      planned.filter(({ check }) => check === 'pod network tcp').map(({ node, peer }) => `${node}${peer}`),
      ['n1n2', 'n2n1', 'n2n3', 'n3n2'],
    )
    assert.deepEqual(
      planned
        .filter(({ check }) => !check.startsWith('pod network') && check !== 'node address')
        .map(({ check, node, target }) => `${node} ${check} ${target}`),
      [
        'n2 tables n2',
        'n2 host to pod n2 10.244.2.9:7',
        'n2 service default/kubernetes 10.96.0.1:443',
        'n2 name kubernetes.default.svc.cluster.local',
        'n2 outside name example.com',
        'n2 outward 203.0.113.9:443',
      ],
    )
  })

  it('tries the families that two nodes share, and leaves out what is not there', () => {
    const planned = planProbes([participant(1, ['10.244.1.9', 'fd00:1::9']), participant(2, ['fd00:2::9'])], {
      ...SUBJECTS,
      service: undefined,
    })
    assert.deepEqual(
      planned.filter(({ check }) => check === 'pod network udp').map(({ node, target }) => `${node} → ${target}`),
      ['n1 → n2 [fd00:2::9]:7', 'n2 → n1 [fd00:1::9]:7'],
    )
    assert.deepEqual(
      planned.filter(({ check }) => check === 'service' || check === 'name'),
      [],
    )
  })

  /** What is told when some of n2's probes to n3 fail. */
  function broken(...fails: string[]): NetCheckResult[] {
    const planned = planProbes(three, SUBJECTS)
    const failing = (one: PlannedProbe): boolean =>
      one.node === 'n2' && (one.peer === 'n3' || one.peer === undefined) && fails.includes(one.check)
    const results = new Map(
      planned.map((one): [PlannedProbe, NetCheckProbeResult] => [
        one,
        { id: one.probe.id, ok: !failing(one), millis: 1, message: failing(one) ? 'no answer' : 'echoed' },
      ]),
    )
    return evaluateProbes(planned, results, three, 'over').filter(({ ok }) => !ok)
  }
  const said = (...fails: string[]): string[] => broken(...fails).map(({ message }) => message)

  it('says where to look: between the nodes, at the tunnel, at the MTU, at one protocol', () => {
    assert.deepEqual(
      said('pod network tcp', 'pod network udp')[1],
      'n2 → pod network of n3 10.244.3.9:7, UDP: no answer; node addresses reach each other: look at UDP 8472 between 10.87.0.12 and 10.87.0.13, or, on one link, at the routes to pods',
    )
    assert.match(
      said('pod network tcp', 'pod network udp', 'node address')[0]!,
      /; node addresses do not reach each other either: look at the link between 10\.87\.0\.12 and 10\.87\.0\.13$/,
    )
    assert.deepEqual(said('pod network mtu'), [
      "n2 → pod network of n3 10.244.3.9:7, packet of full size: no answer; small packets pass: the way between n2 and n3 carries less than the pods' MTU; lower the MTU, or raise that of the links between",
    ])
    assert.match(said('pod network udp')[0]!, /TCP passes: look at firewalls and policies for UDP on n2 and n3$/)
    assert.match(
      said('tables')[0]!,
      /^tables of nftables on n2: no answer; the agent makes them again within seconds; look for who flushes the ruleset of n2/,
    )
    assert.match(
      said('name')[0]!,
      /^pods of n2: name kubernetes\.default\.svc\.cluster\.local: no answer; look at the resolver of n2/,
    )
  })

  it('tells of node addresses only when they alone fail', () => {
    assert.deepEqual(
      broken('node address').map(({ check }) => check),
      ['node address'],
    )
    assert.deepEqual(
      broken('node address', 'pod network udp', 'pod network tcp', 'pod network mtu').map(({ check }) => check),
      ['pod network tcp', 'pod network udp', 'pod network mtu'],
    )
    assert.deepEqual(broken(), [])
  })

  it('counts what was not answered when it was over as broken', () => {
    const planned = planProbes(three.slice(0, 1), SUBJECTS)
    const results = evaluateProbes(planned, new Map(), three, 'the check was over before it had an answer')
    assert.deepEqual(
      results.map(({ ok }) => ok),
      planned.map(() => false),
    )
    assert.match(results[0]!.message, /the check was over before it had an answer/)
  })
})
