/**
 * nftables rules of a packet fault on one machine, as text for `nft -f`. Each fault has tables of its own, so that
 * several lie over one another and each is removed alone.
 *
 * Packets are met where they arrive, before connection tracking: there they vanish without a sender's being told, what
 * pods send or are sent is met too, and established connections are no exception. What goes to the host is met where it
 * leaves the machine's interface.
 */
import type { LinkEndpoint } from './link.ts'

export interface Rules {
  readonly table: string
  /** Whose packets are met as they arrive. */
  readonly arrivingFrom: readonly LinkEndpoint[]
  /** Interface, and to whom packets are met as they leave by it. */
  readonly leavingBy: { readonly device: string; readonly to: readonly LinkEndpoint[] } | undefined
  readonly port: number | undefined
  /** Undefined: both. */
  readonly protocol: string | undefined
  /** What happens to them: "drop", perhaps after a condition. */
  readonly verdict: string
}

/** The table of a fault, in each family. */
export function tableOf(fault: string): string {
  return `gantry_fault_${fault}`
}

/** Puts the rules in place, or in the place of those of before. */
export function rulesText(rules: Rules): string {
  const { table, arrivingFrom, leavingBy } = rules
  const fate = `  chain fate {\n${fateLines(rules)
    .map((line) => `    ${line}\n`)
    .join('')}  }\n`
  const tables = [removalText(table)]
  if (arrivingFrom.length > 0) {
    const meets = meeting('saddr', arrivingFrom)
    tables.push(
      `table inet ${table} {\n${fate}  chain arriving {\n    type filter hook prerouting priority raw; policy accept;\n${meets}  }\n}\n`,
    )
  }
  if (leavingBy !== undefined && leavingBy.to.length > 0) {
    const meets = meeting('daddr', leavingBy.to)
    tables.push(
      `table netdev ${table} {\n${fate}  chain leaving {\n    type filter hook egress device "${leavingBy.device}" priority filter; policy accept;\n${meets}  }\n}\n`,
    )
  }
  return tables.join('')
}

/** Removes a fault's tables, whether they are there or not. */
export function removalText(table: string): string {
  return ['inet', 'netdev'].map((family) => `table ${family} ${table} {}\ndelete table ${family} ${table}\n`).join('')
}

/** Lines that send the parties' packets to their fate, each packet once. */
function meeting(side: 'saddr' | 'daddr', parties: readonly LinkEndpoint[]): string {
  const { ip, ip6 } = byFamily(parties)
  const hardware = side === 'saddr' ? parties.flatMap((party) => party.hardware) : []
  return [
    ['ip', ip],
    ['ip6', ip6],
    ['ether', hardware],
  ]
    .map(([family, all]) =>
      all!.length === 0 ? '' : `    ${family} ${side} { ${[...new Set(all)].join(', ')} } goto fate\n`,
    )
    .join('')
}

function fateLines({ port, protocol, verdict: fate }: Rules): string[] {
  if (port === undefined) return [fate]
  const protocols = protocol ?? 'tcp, udp'
  // One look for both directions, or a packet between two such ports would meet its fate twice.
  return [`meta l4proto != { ${protocols} } return`, `th dport != ${port} th sport != ${port} return`, fate]
}

export function byFamily(parties: readonly LinkEndpoint[]): { ip: string[]; ip6: string[] } {
  const addresses = parties.flatMap((party) => party.addresses)
  return {
    ip: addresses.filter((address) => !address.includes(':')),
    ip6: addresses.filter((address) => address.includes(':')),
  }
}
