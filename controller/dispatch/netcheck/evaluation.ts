/** What the probes' results mean: a sentence for each that says what is broken, where, and where to look. Pure. */
import type { NetCheckProbeResult } from '../../../proto/gen/types.ts'
import type { NetCheckResult } from '../../../proto/gen/types.ts'
import type { Participant, PlannedProbe } from './probe-plan.ts'

/** Where VXLAN packets go on a node (IANA; RFC 7348 allows others, flannel's and Gantry's is this). */
const VXLAN_PORT = 8472

type Results = ReadonlyMap<PlannedProbe, NetCheckProbeResult | undefined>

/** In the order of the plan; probes of node addresses only help to explain others, unless they are all that fails. */
export function evaluateProbes(
  planned: readonly PlannedProbe[],
  results: Results,
  participants: readonly Participant[],
  over: string,
): NetCheckResult[] {
  const addressOf = new Map(participants.map(({ node, ready }) => [node, ready.nodeAddress]))
  const between = (check: string, node: string, peer: string | undefined): NetCheckProbeResult | undefined => {
    const found = planned.find((other) => other.check === check && other.node === node && other.peer === peer)
    return found === undefined ? undefined : results.get(found)
  }
  return planned.flatMap((one): NetCheckResult[] => {
    const result = results.get(one)
    const failed = result?.ok !== true
    const podsFail = (['pod network tcp', 'pod network udp'] as const).some(
      (check) => between(check, one.node, one.peer)?.ok !== true,
    )
    if (one.check === 'node address' && (!failed || podsFail)) return []
    const said = result?.message ?? over
    return [
      {
        check: one.check,
        node: one.node,
        target: one.target,
        ok: !failed,
        skipped: false,
        millis: result?.millis ?? 0,
        message: failed ? `${what(one)}: ${said}; ${where(one)}` : said,
      },
    ]
  })

  function where({ check, node, peer }: PlannedProbe): string {
    switch (check) {
      case 'pod network mtu':
        if (between('pod network udp', node, peer)?.ok === true)
          return `small packets pass: the way between ${both(node, peer)} carries less than the pods' MTU; lower the MTU, or raise that of the links between`
        return link(node, peer)
      case 'pod network tcp':
        if (between('pod network udp', node, peer)?.ok === true)
          return `UDP passes: look at firewalls and policies for TCP on ${both(node, peer)}`
        return link(node, peer)
      case 'pod network udp':
        if (between('pod network tcp', node, peer)?.ok === true)
          return `TCP passes: look at firewalls and policies for UDP on ${both(node, peer)}`
        return link(node, peer)
      case 'tables':
        return `the agent makes them again within seconds; look for who flushes the ruleset of ${node}, as nftables.service and firewalld do when they are started`
      case 'node address':
        return `pods reach each other all the same; a firewall between ${both(node, peer)} drops what is for the nodes themselves`
      case 'host to pod':
        return `look at the interface gantry0 of ${node} (\`ip addr show gantry0\`) and at its firewall`
      case 'service':
        return `look at the tables of Services on ${node} (\`nft list table inet gantry_services\`), and whether the controllers' addresses are reached from there`
      case 'name':
        return `look at the resolver of ${node}: its agent's log, and \`gantry get svc\``
      case 'outside name':
        return `look at the name servers in /etc/resolv.conf of ${node}`
      case 'outward':
        return `look at the masquerading of ${node} (\`nft list ruleset\`), its routes and its firewall`
    }
  }

  function link(node: string, peer: string | undefined): string {
    const addresses = `${addressOf.get(node) ?? node} and ${addressOf.get(peer ?? '') ?? peer}`
    if (between('node address', node, peer)?.ok === true)
      return `node addresses reach each other: look at UDP ${VXLAN_PORT} between ${addresses}, or, on one link, at the routes to pods`
    return `node addresses do not reach each other either: look at the link between ${addresses}`
  }

  function both(node: string, peer: string | undefined): string {
    return `${node} and ${peer}`
  }
}

function what({ check, node, target }: PlannedProbe): string {
  switch (check) {
    case 'pod network tcp':
      return `${node} → pod network of ${target}, TCP`
    case 'pod network udp':
      return `${node} → pod network of ${target}, UDP`
    case 'pod network mtu':
      return `${node} → pod network of ${target}, packet of full size`
    case 'tables':
      return `tables of nftables on ${node}`
    case 'node address':
      return `${node} → node ${target}`
    case 'host to pod':
      return `${node} itself → its own pod ${target}`
    case 'service':
      return `pods of ${node} → Service ${target}`
    case 'name':
    case 'outside name':
      return `pods of ${node}: name ${target}`
    case 'outward':
      return `pods of ${node} → ${target}`
  }
}
