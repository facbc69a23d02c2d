/**
 * What a check of the network tries: from every node's pod network to every other's, and from each to what all of them
 * need. Pure.
 */
import { isIPv6 } from 'node:net'
import type { NetCheckProbe, NetCheckReady } from '../../../proto/gen/types.ts'

/** A node whose part has begun. */
export interface Participant {
  readonly node: string
  readonly ready: NetCheckReady
}

export interface CheckSubjects {
  /** Only what these nodes send or receive; empty: all. */
  readonly nodes: readonly string[]
  /** The cluster's own Service, as in default/kubernetes; undefined: there is none. */
  readonly service:
    | { readonly name: string; readonly addresses: readonly string[]; readonly port: number; readonly dnsName: string }
    | undefined
  /** Another name to be resolved; '' for none. */
  readonly name: string
  /** Where pods are to get out to. */
  readonly outward: { readonly address: string; readonly port: number } | undefined
}

export type Check =
  | 'tables'
  | 'pod network tcp'
  | 'pod network udp'
  | 'pod network mtu'
  | 'node address'
  | 'host to pod'
  | 'service'
  | 'name'
  | 'outside name'
  | 'outward'

/** One thing that one node tries. */
export interface PlannedProbe {
  readonly check: Check
  readonly node: string
  /** The node that is to answer, if it is one. */
  readonly peer: string | undefined
  readonly target: string
  readonly probe: NetCheckProbe
}

/** Milliseconds for one answer. */
const PROBE_TIMEOUT_MS = 2_000
/**
 * Where nothing listens on a node, so that its kernel refuses at once: what counts is that it answers (RFC 863,
 * discard).
 */
const DISCARD_PORT = 9
/** Any router has a kernel that answers for it. */
const ROUTER_PORT = 53

export function planProbes(participants: readonly Participant[], subjects: CheckSubjects): PlannedProbe[] {
  const planned: PlannedProbe[] = []
  const chosen = (node: string): boolean => subjects.nodes.length === 0 || subjects.nodes.includes(node)
  const add = (
    check: Check,
    node: string,
    target: string,
    probe: Partial<NetCheckProbe> & Pick<NetCheckProbe, 'kind'>,
    peer?: string,
  ): void => {
    planned.push({
      check,
      node,
      peer,
      target,
      probe: {
        id: planned.length + 1,
        address: '',
        port: 0,
        name: '',
        fromHost: false,
        timeoutMillis: PROBE_TIMEOUT_MS,
        ...probe,
      },
    })
  }
  for (const { node, ready } of participants) {
    for (const peer of participants) {
      if (peer.node === node || !(chosen(node) || chosen(peer.node))) continue
      for (const address of peer.ready.addresses.filter((other) =>
        ready.addresses.some((own) => isIPv6(own) === isIPv6(other)),
      )) {
        const at = { address, port: peer.ready.port }
        const target = `${peer.node} ${endpoint(address, peer.ready.port)}`
        add('pod network tcp', node, target, { kind: 'TCP_ECHO', ...at }, peer.node)
        add('pod network udp', node, target, { kind: 'UDP_ECHO', ...at }, peer.node)
        add('pod network mtu', node, target, { kind: 'UDP_FULL', ...at }, peer.node)
      }
      if (peer.ready.nodeAddress !== '')
        add(
          'node address',
          node,
          `${peer.node} ${peer.ready.nodeAddress}`,
          { kind: 'TCP_REACH', address: peer.ready.nodeAddress, port: DISCARD_PORT, fromHost: true },
          peer.node,
        )
    }
    if (!chosen(node)) continue
    add('tables', node, node, { kind: 'TABLES' })
    for (const address of ready.addresses)
      add(
        'host to pod',
        node,
        `${node} ${endpoint(address, ready.port)}`,
        { kind: 'TCP_ECHO', address, port: ready.port, fromHost: true },
        node,
      )
    const { service } = subjects
    for (const address of service?.addresses.filter((other) =>
      ready.addresses.some((own) => isIPv6(own) === isIPv6(other)),
    ) ?? []) {
      add('service', node, `${service!.name} ${endpoint(address, service!.port)}`, {
        kind: 'TCP_CONNECT',
        address,
        port: service!.port,
      })
    }
    if (service !== undefined) add('name', node, service.dnsName, { kind: 'DNS', name: service.dnsName })
    if (subjects.name !== '') add('outside name', node, subjects.name, { kind: 'DNS', name: subjects.name })
    const { outward } = subjects
    if (outward === undefined)
      add('outward', node, ready.gateway === '' ? 'the first router' : `router ${ready.gateway}`, {
        kind: 'TCP_REACH',
        address: ready.gateway,
        port: ROUTER_PORT,
      })
    else add('outward', node, endpoint(outward.address, outward.port), { kind: 'TCP_CONNECT', ...outward })
  }
  return planned
}

function endpoint(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}
