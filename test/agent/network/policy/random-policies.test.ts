/**
 * Policies of any kind in the kernel: every packet between pods and from outside fares as the plain reading of the
 * policies says.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PolicyGuard } from '../../../../agent/network/policy/policy-guard.ts'
import { isTerminal } from '../../../../proto/objects/pod.ts'
import { describeDecision, explainPolicies, type FlowEndpoint } from '../../../../proto/objects/network-policy.ts'
import { run } from '../../../../proto/base/command.ts'
import { PolicyWorld } from '../../../controller/dispatch/network/policy-fixture.ts'
import { initialWorld, NODES, placedPod, worldSteps } from '../../../controller/dispatch/network/random-policies.ts'
import { OUTSIDE, TwoNodes, type Peer, type PeerLocation } from './two-nodes.ts'

const PODS = 4
const WORLDS = 8
const SEED = 4
const FLOWS = [
  ['tcp', 80],
  ['tcp', 81],
  ['tcp', 8080],
  ['udp', 80],
  ['udp', 81],
] as const

describe('random policies in the kernel', function () {
  this.timeout(120_000)
  let nodes: TwoNodes
  const peers = new Map<string, Peer>()

  before(async () => {
    nodes = await TwoNodes.make()
    const listen = { tcp: [80, 81, 8080], udp: [80, 81] }
    for (let index = 0; index < PODS; index++) {
      const pod = placedPod(index, {})
      const place = {
        node: pod.spec.nodeName,
        addresses: pod.status.podIPs!.map(({ ip }) => ip),
      } as unknown as PeerLocation
      peers.set(pod.metadata.name, await nodes.pod(place, listen))
    }
    peers.set('outside', await nodes.peer('outside', OUTSIDE.addresses, listen))
  })

  after(() => nodes.remove())

  it('judge packets as their texts say, first and after changes', async () => {
    const guards = NODES.map((node) => new PolicyGuard({ run, netns: nodes.netns(node) }))
    const verdicts = { allowed: 0, refused: 0 }
    for (const [objects, steps] of fc.sample(fc.tuple(initialWorld, worldSteps), { seed: SEED, numRuns: WORLDS })) {
      const world = new PolicyWorld(objects)
      for (const [index, guard] of guards.entries())
        await guard.apply(world.node(NODES[index]!).view, { complete: true, keys: new Set() })
      await look(world)
      for (const step of steps) if (step.do === 'put') world.put(step.object)
      world.flush()
      for (const [index, guard] of guards.entries())
        await guard.apply(world.node(NODES[index]!).view, { complete: false, keys: world.node(NODES[index]!).keys })
      await look(world)
    }
    assert.ok(verdicts.allowed > 200 && verdicts.refused > 200, JSON.stringify(verdicts))

    async function look(world: PolicyWorld): Promise<void> {
      const { stated } = world
      const ends = [0, 1].map((family) =>
        [...peers].flatMap(([name, peer]): (FlowEndpoint & { readonly peer: Peer })[] => {
          const pod = world.objects
            .filter((object) => object.kind === 'Pod')
            .find(({ metadata }) => metadata.name === name)
          if (name === 'outside') return [{ peer, address: peer.addresses[family as 0 | 1] }]
          return pod === undefined ||
            isTerminal(pod) ||
            pod.spec.hostNetwork === true ||
            (pod.status.podIPs ?? []).length === 0
            ? []
            : [{ peer, pod, address: peer.addresses[family as 0 | 1] }]
        }),
      )
      await Promise.all(
        ends.flatMap((family) =>
          family.flatMap((from) =>
            family
              .filter((to) => to !== from)
              .flatMap((to) =>
                FLOWS.map(async ([protocol, port]) => {
                  const { allowed, egress, ingress } = explainPolicies(
                    { from, to, protocol: protocol === 'tcp' ? 'TCP' : 'UDP', port },
                    stated,
                  )
                  verdicts[allowed ? 'allowed' : 'refused']++
                  const words = `${from.address} → ${to.address} ${protocol} ${port}: ${describeDecision(egress)}; ${describeDecision(ingress)}`
                  assert.match(
                    await from.peer[protocol](to.address, port),
                    allowed ? /^answered$/ : /^(EHOSTUNREACH|EACCES)$/,
                    words,
                  )
                }),
              ),
          ),
        ),
      )
    }
  })
})
