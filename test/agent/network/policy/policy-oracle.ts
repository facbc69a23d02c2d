/** What nodes' entries say of a packet: read slowly, entry by entry, to test what is made of them. */
import { rangeContains, readAddress, readCidr } from '../../../../proto/base/cidr.ts'
import type { NetworkView } from '../../../../agent/network/contract.ts'
import type { PolicyProtocol } from '../../../../proto/objects/network-policy.ts'
import type { GuardedPod, PolicyRule } from '../../../../proto/gen/types.ts'

export interface Packet {
  readonly from: string
  readonly to: string
  readonly protocol: PolicyProtocol | undefined
  readonly port: number
}

type Entries = Pick<NetworkView, 'entries'>

/** Judged on the sender's node, then on the receiver's. */
export function isAllowed(packet: Packet, sender: Entries | undefined, receiver: Entries | undefined): boolean {
  if (packet.from === packet.to) return true
  return (
    (sender === undefined || isAllowedOnNode(packet, sender, 'egress')) &&
    (receiver === undefined || isAllowedOnNode(packet, receiver, 'ingress'))
  )
}

function isAllowedOnNode(packet: Packet, view: Entries, direction: 'ingress' | 'egress'): boolean {
  const own = direction === 'ingress' ? packet.to : packet.from
  const guards = [...view.entries('guarded').values()].filter(
    (pod: GuardedPod) => pod.addresses.includes(own) && pod[direction],
  )
  if (guards.length === 0) return true
  const rules = [...view.entries('rules').values()]
  return guards[0]!.rules.some((name) =>
    rules.some((each) => each.name === name && each[direction].some((rule) => fits(packet, view, rule, direction))),
  )
}

function fits(
  { from, to, protocol, port }: Packet,
  view: Entries,
  rule: PolicyRule,
  direction: 'ingress' | 'egress',
): boolean {
  const other = direction === 'ingress' ? from : to
  const parts = (name: string) => [...view.entries('addresses').values()].filter((part) => part.name === name)
  const peer =
    rule.anyPeer ||
    rule.sets.some((name) => parts(name).some(({ addresses }) => addresses.includes(other))) ||
    rule.blocks.some(({ cidr, except }) => inside(other, cidr) && !except.some((gap) => inside(other, gap)))
  const portFits =
    rule.anyPort ||
    rule.ports.some(
      (each) =>
        each.protocol === protocol &&
        (each.port === 0 || (port >= each.port && port <= (each.endPort === 0 ? each.port : each.endPort))),
    ) ||
    rule.endpoints.some((name) =>
      parts(name).some(({ endpoints }) =>
        endpoints.some(
          (endpoint) => endpoint.address === to && endpoint.protocol === protocol && endpoint.port === port,
        ),
      ),
    )
  return peer && portFits
}

function inside(text: string, cidr: string): boolean {
  const address = readAddress(text)!
  return rangeContains(readCidr(cidr)!, { family: address.family, first: address.value, last: address.value })
}
