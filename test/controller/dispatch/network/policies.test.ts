/** What nodes are told of policies, against the plain reading of the policies. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { explainPolicies, type FlowEndpoint } from '../../../../proto/objects/network-policy.ts'
import { isTerminal } from '../../../../proto/objects/pod.ts'
import type { Pod } from '../../../../proto/gen/types.ts'
import { isAllowed } from '../../../agent/network/policy/policy-oracle.ts'
import { namespaceOf, podOf, policyOf, PolicyWorld, type ObservedNode } from './policy-fixture.ts'
import { initialWorld, NODES, PORTS, worldSteps, type WorldStep } from './random-policies.ts'

function take(world: PolicyWorld, step: WorldStep): void {
  switch (step.do) {
    case 'put':
      return world.put(step.object)
    case 'flush':
      return world.flush()
    case 'remove': {
      const object = world.objects.filter(({ kind }) => kind !== 'Namespace')[step.at]
      if (object !== undefined) world.remove(object)
    }
  }
}

/** Everything a view holds, in no order. */
function contents({ view }: ObservedNode): unknown {
  const entries = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  const parts = entries(view.entries('addresses')).map(([key, { name, addresses, endpoints }]) => [
    key,
    name,
    [...addresses].sort(),
    endpoints.map((endpoint) => JSON.stringify(endpoint)).sort(),
  ])
  return { guarded: entries(view.entries('guarded')), rules: entries(view.entries('rules')), parts }
}

function living(world: PolicyWorld): Pod[] {
  return world.objects
    .filter((object) => object.kind === 'Pod')
    .filter((pod) => !isTerminal(pod) && pod.spec.hostNetwork !== true && (pod.status.podIPs ?? []).length > 0)
}

function* ends(world: PolicyWorld, family: 0 | 1): Generator<FlowEndpoint, void, undefined> {
  for (const pod of living(world)) yield { address: pod.status.podIPs![family]!.ip!, pod }
  yield* (family === 0 ? ['198.51.100.7', '198.51.100.200'] : ['2001:db8::7']).map((address) => ({ address }))
}

function assertAgrees(world: PolicyWorld, nodes: ReadonlyMap<string, ObservedNode>): void {
  const { stated } = world
  const viewOf = ({ pod }: FlowEndpoint) => (pod === undefined ? undefined : nodes.get(pod.spec.nodeName!)!.view)
  for (const family of [0, 1] as const)
    for (const from of ends(world, family))
      for (const to of ends(world, family)) {
        for (const [protocol, port] of [
          [undefined, 0] as const,
          ...PORTS.flatMap((each) => [['TCP', each] as const, ['UDP', each] as const]),
        ]) {
          const flow = { from, to, protocol, port }
          const verdict = explainPolicies(flow, stated)
          const told = isAllowed({ from: from.address, to: to.address, protocol, port }, viewOf(from), viewOf(to))
          assert.equal(
            told,
            verdict.allowed,
            `${from.address} → ${to.address} ${protocol} ${port}: ${JSON.stringify(verdict)}`,
          )
        }
      }
}

const open = (world: PolicyWorld): Map<string, ObservedNode> => new Map(NODES.map((name) => [name, world.node(name)]))

describe('policies as nodes are told', () => {
  it('say of every packet what the policies say, after any changes', () => {
    fc.assert(
      fc.property(initialWorld, worldSteps, (objects, steps) => {
        const world = new PolicyWorld(objects)
        const nodes = open(world)
        assertAgrees(world, nodes)
        for (const step of steps) take(world, step)
        world.flush()
        assertAgrees(world, nodes)
      }),
      { numRuns: 150 },
    )
  })

  it('know the names of ports of pods in a range of addresses', () => {
    const pod = podOf('web', {
      node: 'b',
      addresses: ['10.9.2.2', 'fd00:9:2::2'],
      ports: [{ name: 'http', containerPort: 80 }],
    })
    const policy = policyOf('p', {
      podSelector: { matchLabels: { app: 'client' } },
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: '10.9.0.0/16' } }], ports: [{ protocol: 'TCP', port: 'http' }] }],
    })
    const world = new PolicyWorld([
      namespaceOf('default'),
      pod,
      podOf('client', { node: 'a', addresses: ['10.9.1.2', 'fd00:9:1::2'], labels: { app: 'client' } }),
      policy,
    ])
    const nodes = open(world)
    assertAgrees(world, nodes)
    const view = nodes.get('a')!.view
    assert.deepEqual(
      [80, 81].map((port) => isAllowed({ from: '10.9.1.2', to: '10.9.2.2', protocol: 'TCP', port }, view, undefined)),
      [true, false],
    )
  })

  it('are the same by increments as from the beginning', () => {
    fc.assert(
      fc.property(initialWorld, worldSteps, (objects, steps) => {
        const world = new PolicyWorld(objects)
        const nodes = open(world)
        for (const step of steps) take(world, step)
        world.flush()
        const fresh = open(new PolicyWorld(world.objects))
        for (const name of NODES) assert.deepEqual(contents(nodes.get(name)!), contents(fresh.get(name)!))
      }),
      { numRuns: 150 },
    )
  })

  it('name a guard before the pod has an address, and say of pods that no policy selects that they are free', () => {
    const world = new PolicyWorld([
      namespaceOf('default'),
      podOf('web', { labels: { app: 'web' }, addresses: [] }),
      podOf('free', { addresses: ['10.9.1.3'] }),
      policyOf('deny', { podSelector: { matchLabels: { app: 'web' } } }),
    ])
    const { view } = world.node('a')
    assert.deepEqual(
      [...view.entries('guarded').values()],
      [
        { uid: 'uid-default-web', addresses: [], ingress: true, egress: false, rules: ['default/deny'] },
        { uid: 'uid-default-free', addresses: ['10.9.1.3'], ingress: false, egress: false, rules: [] },
      ],
    )
    assert.deepEqual(world.node('b').view.keys, new Set())
  })

  it("tell a node only of sets that its own pods' policies name", () => {
    const peers = [{ podSelector: { matchLabels: { app: 'client' } } }]
    const world = new PolicyWorld([
      namespaceOf('default'),
      podOf('web', { labels: { app: 'web' }, node: 'a', addresses: ['10.9.1.2'] }),
      podOf('client', { labels: { app: 'client' }, node: 'b', addresses: ['10.9.2.2'] }),
      policyOf('web', { podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from: peers }] }),
    ])
    const [a, b] = [world.node('a'), world.node('b')]
    assert.deepEqual(
      [...a.view.entries('addresses').values()].map(({ addresses }) => addresses),
      [['10.9.2.2']],
    )
    assert.deepEqual([...b.view.keys], ['GuardedPod/uid-default-client'])
    world.remove(podOf('web', { labels: { app: 'web' } }))
    world.flush()
    assert.equal(a.view.keys.size, 0)
  })

  it('tell nothing when a pod changes in what policies do not look at', () => {
    const world = new PolicyWorld([
      namespaceOf('default'),
      podOf('web', { addresses: ['10.9.1.2'] }),
      policyOf('all', { ingress: [{ from: [{ namespaceSelector: {} }] }] }),
    ])
    const { updates } = world.node('a')
    world.put(podOf('web', { addresses: ['10.9.1.2'], deletionTimestamp: '2026-01-01T00:00:00Z' }))
    world.flush()
    assert.equal(updates.length, 1)
    world.put(podOf('web', { addresses: ['10.9.1.2'], phase: 'Succeeded' }))
    world.flush()
    assert.equal(updates.length, 2)
  })

  it('tell one part of a large set when one pod comes', () => {
    const pods = Array.from({ length: 2000 }, (_, index) =>
      podOf(`pod${index}`, { node: 'b', addresses: [`10.9.${2 + (index >> 8)}.${index & 255}`] }),
    )
    const world = new PolicyWorld([
      namespaceOf('default'),
      podOf('web', { labels: { app: 'web' }, addresses: ['10.8.1.2'] }),
      ...pods,
      policyOf('web', { podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from: [{ podSelector: {} }] }] }),
    ])
    const { updates } = world.node('a')
    world.put(podOf('late', { node: 'b', addresses: ['10.9.100.1'] }))
    world.flush()
    const told = updates
      .at(-1)!
      .set.map(({ entry }) => (entry?.case === 'addresses' ? entry.value.addresses.length : assert.fail()))
    assert.equal(told.length, 1)
    assert.ok(told[0]! < 200, String(told[0]))
  })

  it('keep an address that two pods have, for a moment, when one of them goes', () => {
    const world = new PolicyWorld([
      namespaceOf('default'),
      podOf('web', { labels: { app: 'web' }, addresses: ['10.9.1.2'] }),
      podOf('old', { node: 'b', addresses: ['10.9.2.2'] }),
      podOf('new', { node: 'b', addresses: ['10.9.2.2'] }),
      policyOf('web', { podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from: [{ podSelector: {} }] }] }),
    ])
    const { view } = world.node('a')
    world.remove(podOf('old', { node: 'b', addresses: ['10.9.2.2'] }))
    world.flush()
    assert.deepEqual([...view.entries('addresses').values()].flatMap(({ addresses }) => addresses).sort(), [
      '10.9.1.2',
      '10.9.2.2',
    ])
  })
})
