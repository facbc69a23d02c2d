/**
 * Policies in the kernel, by packets between pods of two nodes. What must not arrive is refused to the sender, and was
 * not counted by the receiver.
 */
import assert from 'node:assert/strict'
import { PolicyGuard } from '../../../../agent/network/policy/policy-guard.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { run } from '../../../../proto/base/command.ts'
import type { NetworkPolicy, Pod } from '../../../../proto/gen/types.ts'
import {
  namespaceOf,
  podOf,
  policyOf,
  PolicyWorld,
  type WorldPod,
} from '../../../controller/dispatch/network/policy-fixture.ts'
import { eventually } from '../../../eventually.ts'
import { OUTSIDE, TwoNodes, type Peer, type PeerLocation } from './two-nodes.ts'

const PLACES = {
  web: { node: 'a', addresses: ['10.9.1.2', 'fd00:9:1::2'] },
  client: { node: 'a', addresses: ['10.9.1.3', 'fd00:9:1::3'] },
  db: { node: 'b', addresses: ['10.9.2.2', 'fd00:9:2::2'] },
  job: { node: 'b', addresses: ['10.9.2.3', 'fd00:9:2::3'] },
} as const satisfies Record<string, PeerLocation>
type PodName = keyof typeof PLACES

const LISTEN = { tcp: [80, 81, 90, 8080], udp: [80, 81] }
const PODS: Record<PodName, WorldPod> = {
  web: { labels: { app: 'web' }, ports: [{ name: 'http', containerPort: 8080 }] },
  client: { labels: { app: 'client' } },
  db: { labels: { app: 'db' }, ports: [{ name: 'http', containerPort: 81 }] },
  job: { labels: { app: 'job' }, namespace: 'ops' },
}
const signal = new AbortController().signal

/** The guards of both nodes, following a world of policies. */
class Guarded {
  readonly world: PolicyWorld
  readonly guards: Record<'a' | 'b', PolicyGuard>
  readonly #nodes: TwoNodes

  constructor(nodes: TwoNodes) {
    this.#nodes = nodes
    this.world = new PolicyWorld([
      namespaceOf('default'),
      namespaceOf('ops', { team: 'ops' }),
      ...(Object.keys(PODS) as PodName[]).map((name) => podOf(name, { ...PODS[name], ...PLACES[name] })),
    ])
    this.guards = { a: this.guard('a'), b: this.guard('b') }
  }

  guard(node: 'a' | 'b'): PolicyGuard {
    return new PolicyGuard({ run, netns: this.#nodes.netns(node) })
  }

  async apply(complete = false): Promise<void> {
    for (const name of ['a', 'b'] as const) {
      const told = this.world.node(name)
      await this.guards[name].apply(told.view, { complete, keys: told.keys })
    }
  }

  async set(...policies: readonly (NetworkPolicy | Pod)[]): Promise<void> {
    this.world.put(...policies)
    this.world.flush()
    await this.apply()
  }

  async unset(...policies: readonly NetworkPolicy[]): Promise<void> {
    for (const policy of policies) this.world.remove(policy)
    this.world.flush()
    await this.apply()
  }
}

describe('policies in the kernel', function () {
  this.timeout(180_000)
  let nodes: TwoNodes
  let outside: Peer
  const peers = {} as Record<PodName, Peer>
  let guarded: Guarded

  before(async () => {
    nodes = await TwoNodes.make()
    for (const name of Object.keys(PLACES) as PodName[]) peers[name] = await nodes.pod(PLACES[name], LISTEN)
    outside = await nodes.peer('outside', OUTSIDE.addresses, LISTEN)
  })

  after(() => nodes.remove())

  beforeEach(async () => {
    guarded = new Guarded(nodes)
    await guarded.apply(true)
  })

  /** Must be answered, in both families. */
  async function allowed(from: Peer, to: Peer, port: number, protocol: 'tcp' | 'udp' = 'tcp'): Promise<void> {
    await Promise.all(
      to.addresses.map(async (address) =>
        assert.equal(
          await from[protocol](address, port),
          'answered',
          `${from.addresses[0]} → ${address} ${protocol} ${port}`,
        ),
      ),
    )
  }

  /**
   * The sender hears that it is refused, and the receiver has seen nothing: meanwhile nobody else may send it the like.
   * That a SYN over IPv6 is refused the sender's kernel often takes note of only with the second one, a second later:
   * checks that can be made at once are.
   */
  async function refused(from: Peer, to: Peer, port: number, protocol: 'tcp' | 'udp' = 'tcp'): Promise<void> {
    const key = `${protocol.toUpperCase()}/${port}`
    const before = await to.arrived(key)
    await Promise.all(
      to.addresses.map(async (address) =>
        assert.match(
          await from[protocol](address, port),
          /^(EHOSTUNREACH|EACCES)$/,
          `${from.addresses[0]} → ${address} ${protocol} ${port}`,
        ),
      ),
    )
    assert.equal(await to.arrived(key), before, `${key} arrived`)
  }

  const table = async (node: 'a' | 'b'): Promise<string> => (await nodes.in(node, 'nft', ['list', 'ruleset'])).stdout
  const pings = async (pod: string, address: string): Promise<boolean> =>
    (await nodes.in(pod, 'ping', ['-c', '1', '-W', '3', address], undefined, [0, 1])).code === 0

  it('has no table without policies, and none again when the last goes', async () => {
    assert.equal(await table('a'), '')
    const policy = policyOf('deny', {})
    await guarded.set(policy)
    assert.match(await table('a'), /table inet gantry_policy/)
    await refused(peers.client, peers.web, 80)
    await guarded.unset(policy)
    assert.equal(await table('a'), '')
    await allowed(peers.client, peers.web, 80)
  })

  it('refuses everything by default in the directions that a policy is about', async () => {
    await guarded.set(
      policyOf('deny-in', { podSelector: { matchLabels: { app: 'web' } } }),
      policyOf('deny-out', { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Egress'] }),
    )
    await allowed(peers.web, peers.client, 80)
    await allowed(peers.client, peers.db, 80)
    await allowed(peers.client, peers.job, 80, 'udp')
    await Promise.all([
      ...[peers.client, peers.job, outside].flatMap((from) =>
        (['tcp', 'udp'] as const).map((protocol) => refused(from, peers.web, 80, protocol)),
      ),
      refused(peers.db, peers.client, 80),
      refused(peers.db, peers.job, 80, 'udp'),
    ])
  })

  it('allows pods by labels, of its own namespace or of others by theirs', async () => {
    await guarded.set(
      policyOf('web', {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [
          { from: [{ podSelector: { matchLabels: { app: 'db' } } }], ports: [{ port: 80 }] },
          { from: [{ namespaceSelector: { matchLabels: { team: 'ops' } }, podSelector: {} }], ports: [{ port: 81 }] },
        ],
      } as never),
    )
    await allowed(peers.db, peers.web, 80)
    await allowed(peers.job, peers.web, 81)
    await Promise.all([
      refused(peers.db, peers.web, 81),
      refused(peers.job, peers.web, 80),
      ...[80, 81].map((port) => refused(peers.client, peers.web, port)),
    ])
  })

  it("judges egress on the sender's node and ingress on the receiver's", async () => {
    const out = policyOf('out', {
      podSelector: { matchLabels: { app: 'client' } },
      policyTypes: ['Egress'],
      egress: [{ to: [{ podSelector: { matchLabels: { app: 'db' } } }] }],
    } as never)
    const inward = policyOf('in', {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }],
    } as never)
    await guarded.set(out)
    await allowed(peers.client, peers.db, 80)
    await Promise.all([peers.job, peers.web].map((to) => refused(peers.client, to, 80)))
    await guarded.set(inward)
    await refused(peers.client, peers.db, 80)
    await allowed(peers.web, peers.db, 80)
    const counters = async (node: 'a' | 'b') => Number(/counter refused \{\s+packets (\d+)/.exec(await table(node))![1])
    assert.ok((await counters('b')) > 0, "the receiver's node refuses")
    assert.ok((await counters('a')) > 0, "the sender's node refuses")
  })

  it('allows blocks of addresses but for their gaps', async () => {
    const web = (except: string[]) =>
      policyOf('web', {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [{ from: [{ ipBlock: { cidr: '198.51.0.0/16', except } }, { ipBlock: { cidr: '2001:db8::/32' } }] }],
      } as never)
    await guarded.set(web(['198.51.99.0/24']))
    await allowed(outside, peers.web, 80)
    await refused(peers.client, peers.web, 80)
    await guarded.set(web(['198.51.99.0/24', '198.51.100.0/29']))
    assert.equal(await outside.tcp(PLACES.web.addresses[0], 80), 'EHOSTUNREACH')
    assert.equal(await outside.tcp(PLACES.web.addresses[1], 80), 'answered')
  })

  it("takes ranges of ports and ports by name, which are each receiver's own", async () => {
    await guarded.set(
      policyOf('in', {
        podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'db'] }] },
        ingress: [{ ports: [{ port: 'http' }, { port: 85, endPort: 95 }] }],
      } as never),
    )
    await allowed(peers.client, peers.web, 8080)
    await allowed(peers.client, peers.db, 81)
    await Promise.all([
      refused(peers.client, peers.web, 81),
      refused(peers.client, peers.db, 8080),
      ...[peers.web, peers.db].flatMap((to) => [allowed(peers.job, to, 90), refused(peers.job, to, 80)]),
    ])
    await guarded.set(
      policyOf('out', {
        podSelector: { matchLabels: { app: 'client' } },
        policyTypes: ['Egress'],
        egress: [{ ports: [{ port: 'http' }] }],
      } as never),
    )
    await allowed(peers.client, peers.db, 81)
    await allowed(peers.client, peers.web, 8080)
    await refused(peers.client, peers.web, 90)
  })

  it('tells protocols apart, and lets ICMP pass only where no port is asked for', async () => {
    await guarded.set(
      policyOf('web', {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [
          {
            ports: [
              { protocol: 'UDP', port: 80 },
              { protocol: 'TCP', port: 81 },
            ],
          },
        ],
      } as never),
    )
    await Promise.all([
      allowed(peers.client, peers.web, 80, 'udp'),
      refused(peers.client, peers.web, 80),
      allowed(peers.client, peers.web, 81),
      refused(peers.client, peers.web, 81, 'udp'),
    ])
    assert.equal(await pings('pod2', PLACES.web.addresses[0]), false)
    await guarded.set(policyOf('web', { podSelector: { matchLabels: { app: 'web' } }, ingress: [{}] } as never))
    for (const address of PLACES.web.addresses) assert.equal(await pings('pod2', address), true, address)
  })

  it('keeps neither the node from its pods nor a pod from itself', async () => {
    await guarded.set(policyOf('deny', { policyTypes: ['Ingress', 'Egress'] }))
    assert.equal(
      (await nodes.in('a', 'ping', ['-c', '1', '-W', '3', PLACES.web.addresses[0]], undefined, [0, 1])).code,
      0,
    )
    assert.equal(await pings('pod1', '169.254.1.1'), true)
    // Through an address that is translated back to the pod, as a Service's is.
    await nodes.in(
      'a',
      'nft',
      ['-f', '-'],
      'table ip hairpin {\nchain in { type nat hook prerouting priority dstnat; ip daddr 10.96.0.9 dnat to 10.9.1.2; }\nchain out { type nat hook postrouting priority srcnat; ip saddr 10.9.1.2 ip daddr 10.9.1.2 masquerade; }\n}\n',
    )
    try {
      assert.equal(await peers.web.tcp('10.96.0.9', 80), 'answered')
      await refused(peers.client, peers.web, 80)
      assert.equal(await peers.client.tcp('10.96.0.9', 80), 'EHOSTUNREACH')
    } finally {
      await nodes.in('a', 'nft', ['delete', 'table', 'ip', 'hairpin'])
    }
  })

  it('ends connections that are no longer allowed, and leaves the others', async () => {
    await guarded.set(
      policyOf('web', {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [
          {
            from: [
              { podSelector: { matchLabels: { app: 'client' } } },
              { podSelector: { matchLabels: { app: 'db' } } },
            ],
          },
        ],
      } as never),
    )
    for (const name of ['client', 'db'] as const)
      assert.equal(await peers[name].tcp(PLACES.web.addresses[0], 80, 'kept'), 'answered')
    await guarded.set(
      policyOf('web', {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
      } as never),
    )
    assert.equal(await peers.client.ask('say', { hold: 'kept' }), 'answered')
    const before = await peers.web.arrived('bytes')
    assert.equal(await peers.db.ask('say', { hold: 'kept' }), 'ECONNRESET')
    assert.equal(await peers.web.arrived('bytes'), before)
  })

  it('follows pods that come, go and change, without a moment in which traffic that is allowed is refused', async () => {
    await guarded.set(
      policyOf('web', {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
      } as never),
    )
    const flood = peers.client.ask<{ answered: number; refused: number }>('flood', {
      protocol: 'udp',
      address: PLACES.web.addresses[0],
      port: 80,
    })
    const tally = () => peers.client.ask<{ answered: number; refused: number }>('tally')
    for (let round = 1; round <= 5; round++) {
      await guarded.set(podOf('db', { ...PODS.db, ...PLACES.db, labels: { app: 'client' } }))
      await allowed(peers.db, peers.web, 81)
      await guarded.set(
        podOf('db', { ...PODS.db, ...PLACES.db }),
        policyOf('further', {
          podSelector: { matchLabels: { app: 'web' } },
          ingress: [{ ports: [{ port: 9000 + round }] }],
        } as never),
      )
      await refused(peers.db, peers.web, 81, 'udp')
      const { answered } = await tally()
      await eventually(async () => (await tally()).answered > answered)
    }
    await peers.client.ask('calm')
    assert.equal((await flood).refused, 0)
  })

  it('never lets anything pass while the table is replaced and changed', async () => {
    const deny = policyOf('deny', { podSelector: { matchLabels: { app: 'web' } } })
    await guarded.set(deny)
    const before = await peers.web.arrived('UDP/80')
    // Many: what could pass does so within microseconds of a change.
    const storm = peers.client.ask<number>('storm', { address: PLACES.web.addresses[0], port: 80 })
    const counted = async (): Promise<number> => Number(/counter refused \{\s+packets (\d+)/.exec(await table('a'))![1])
    for (let round = 1; round <= 12; round++) {
      // Another agent takes over, and does not know what is in the kernel.
      guarded.guards.a = guarded.guard('a')
      await guarded.apply(true)
      await guarded.set(policyOf('other', { ingress: [{ ports: [{ port: 9000 + round }] }] } as never))
      const so = await counted()
      await eventually(async () => (await counted()) > so)
    }
    await peers.client.ask('calm')
    assert.ok((await storm) > 0)
    // It has worked off what reached it before this was asked.
    assert.equal(await peers.web.arrived('UDP/80'), before)
  })

  it('keeps what is in the kernel while the agent is gone, and puts right what somebody spoilt', async () => {
    await guarded.set(policyOf('deny', { podSelector: { matchLabels: { app: 'web' } } }))
    await guarded.guards.a.stop()
    await refused(peers.client, peers.web, 80)
    await nodes.in('a', 'nft', ['flush', 'chain', 'inet', 'gantry_policy', 'forward'])
    await allowed(peers.client, peers.web, 80)
    await guarded.apply(true)
    await refused(peers.client, peers.web, 80)
  })

  it('guards a pod before it is said to be ready to start, whatever the control plane knows of its address', async () => {
    const late = podOf('web', { ...PODS.web, node: 'a', addresses: [], uid: 'late' })
    guarded.world.put(policyOf('deny', { podSelector: { matchLabels: { app: 'web' } } }), late)
    guarded.world.flush()
    await allowed(peers.client, peers.web, 80)
    // Told, not applied yet: the pod's start does not wait for that, but makes it so.
    await guarded.guards.a.protect('late', PLACES.web.addresses, signal)
    await refused(peers.client, peers.web, 80)
    // The address goes to a pod that nobody guards, before the control plane knows that the one before is gone.
    guarded.guards.a.forget('late')
    guarded.world.put(podOf('web', { ...PODS.web, ...PLACES.web, uid: 'late' }))
    guarded.world.flush()
    await guarded.guards.a.protect('free', PLACES.web.addresses, signal)
    await allowed(peers.client, peers.web, 80)
  })

  it('guards a pod that the control plane has deleted as before, until it has ended here', async () => {
    const web = podOf('web', { ...PODS.web, ...PLACES.web })
    const policy = policyOf('web', {
      podSelector: { matchLabels: { app: 'web' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
    } as never)
    await guarded.set(policy)
    await guarded.guards.a.protect('uid-default-web', PLACES.web.addresses, signal)
    const asBefore = async (): Promise<void> => {
      await allowed(peers.client, peers.web, 80)
      await refused(peers.db, peers.web, 80)
    }
    guarded.world.remove(web)
    guarded.world.flush()
    await guarded.apply()
    await asBefore()
    await guarded.unset(policy)
    await guarded.apply(true)
    await asBefore()
    // One that it knows goes free with the policy.
    await guarded.set(web, policy)
    await asBefore()
    await guarded.unset(policy)
    await allowed(peers.db, peers.web, 80)
    guarded.world.put(policy)
    guarded.world.flush()
    await guarded.apply()
    await guarded.unset(policy)
    guarded.guards.a.forget('uid-default-web')
    await guarded.apply(true)
    await allowed(peers.db, peers.web, 80)
    assert.equal(await table('a'), '')
  })

  it('does not let a pod start when its guard cannot be made, and makes it with the next attempt', async () => {
    let broken = true
    const guard = new PolicyGuard({
      netns: nodes.netns('a'),
      run: (program, args, options) =>
        broken ? Promise.reject(new GantryError('Internal', 'no memory')) : run(program, args, options),
    })
    guarded.world.put(policyOf('deny', { podSelector: { matchLabels: { app: 'web' } } }))
    guarded.world.flush()
    const { view, keys } = guarded.world.node('a')
    await assert.rejects(guard.apply(view, { complete: true, keys }), /no memory/)
    await assert.rejects(guard.protect('uid-default-web', PLACES.web.addresses, signal), /no memory/)
    broken = false
    await guard.protect('uid-default-web', PLACES.web.addresses, signal)
    await refused(peers.client, peers.web, 80)
  })

  it("waits with a pod's start for the first view, and no longer than the start is wanted", async () => {
    const guard = guarded.guard('a')
    const stop = new AbortController()
    const given = guard.protect('uid-default-client', PLACES.client.addresses, stop.signal)
    stop.abort(new GantryError('Cancelled', 'the pod is deleted'))
    await assert.rejects(given, { code: 'Cancelled' })
    const waiting = guard.protect('uid-default-web', PLACES.web.addresses, signal)
    guarded.world.put(policyOf('deny', { podSelector: { matchLabels: { app: 'web' } } }))
    guarded.world.flush()
    const { view, keys } = guarded.world.node('a')
    await guard.apply(view, { complete: true, keys })
    await waiting
    await refused(peers.client, peers.web, 80)
  })
})
