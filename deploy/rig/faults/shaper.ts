/**
 * Bandwidth by the kernel's shaper (tc htb) on a sender's interface: one class for each fault, which nftables puts
 * packets into by where they go. Packets wait in a short queue, as before a slow line, and are dropped where it is
 * full. Packets in no class pass as before.
 */
import { byFamily, tableOf } from './ruleset.ts'
import type { LinkEndpoint } from './link.ts'

/** The shaper's handle, by which it is known as ours. */
const HANDLE = '67a0:'
/** Classes that one shaper can have. */
const CLASSES = 0xfff0
/** Seconds of the rate that wait at most, and bytes: less, and large segments never pass. */
const QUEUE_SECONDS = 0.1
const SHORTEST_QUEUE = 128 * 1024
/** What `shapeScript` exits with where the kernel has no shaper, or the interface another one. */
export const NO_SHAPER = 9

/** Of a fault, as "67a0:3" names it. */
export function classOf(fault: string): string {
  return `${HANDLE}${(((Number(fault.slice(1)) - 1) % CLASSES) + 1).toString(16)}`
}

/** A queue as before a slow line. */
function shortQueue(bytesPerSecond: number): string {
  return `bfifo limit ${Math.max(SHORTEST_QUEUE, Math.round(bytesPerSecond * QUEUE_SECONDS))}`
}

/** Makes the class with its queue, and the shaper unless it is there: a script for sh. */
export function shapeScript(
  device: string,
  fault: string,
  bytesPerSecond: number,
  queue = shortQueue(bytesPerSecond),
): string {
  const name = classOf(fault)
  return `
shaper=$(tc qdisc show dev ${device} root) || exit ${NO_SHAPER}
case $shaper in
  *"htb ${HANDLE} "*) ;;
  ''|*noqueue*) tc qdisc add dev ${device} root handle ${HANDLE} htb || exit ${NO_SHAPER} ;;
  *) exit ${NO_SHAPER} ;;
esac
tc class replace dev ${device} parent ${HANDLE} classid ${name} htb rate ${Math.max(8, bytesPerSecond * 8)}bit
tc qdisc replace dev ${device} parent ${name} ${queue}
`
}

/** Takes the class away, and the shaper with the last: a script for sh. Nothing there is no failure. */
export function unshapeScript(device: string, fault: string): string {
  const name = classOf(fault)
  return `
case $(tc qdisc show dev ${device} root) in *"htb ${HANDLE} "*) ;; *) exit 0 ;; esac
case "$(tc class show dev ${device}) " in *" ${name} "*) tc class del dev ${device} classid ${name} ;; esac
case $(tc class show dev ${device}) in *"class htb ${HANDLE}"*) ;; *) tc qdisc del dev ${device} root ;; esac
`
}

/**
 * Puts packets to the parties into the class. Where several faults take the same packet, the narrowest has the last
 * word.
 */
export function classifyText(
  fault: string,
  to: readonly LinkEndpoint[],
  bytesPerSecond: number,
  port: number | undefined,
  protocol: string | undefined,
): string {
  const table = tableOf(fault)
  const { ip, ip6 } = byFamily(to)
  const match =
    port === undefined
      ? ['']
      : [
          `meta l4proto { ${protocol ?? 'tcp, udp'} } th dport ${port} `,
          `meta l4proto { ${protocol ?? 'tcp, udp'} } th sport ${port} `,
        ]
  const lines = [['ip', ip] as const, ['ip6', ip6] as const].flatMap(([family, all]) =>
    all.length === 0
      ? []
      : match.map((ports) => `    ${family} daddr { ${all.join(', ')} } ${ports}meta priority set ${classOf(fault)}\n`),
  )
  return `table inet ${table} {}\ndelete table inet ${table}\ntable inet ${table} {\n  chain leaving {\n    type filter hook postrouting priority ${priorityOf(bytesPerSecond)}; policy accept;\n${lines.join('')}  }\n}\n`
}

/** The smaller the rate, the later among the hooks. */
function priorityOf(bytesPerSecond: number): number {
  return 1000 - Math.round(16 * Math.log2(bytesPerSecond))
}
