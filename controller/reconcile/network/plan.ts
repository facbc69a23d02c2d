/**
 * What a Network is given: its ranges, its number, and the parts of its ranges that nodes give addresses from. Pure. A
 * node keeps its parts for as long as a pod there is on the network: no address can be given twice.
 */
import { formatCidr, readCidr, rangesOverlap, type AddressRange } from '../../../proto/base/cidr.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { Network, NetworkBlock, NetworkStatus } from '../../../proto/gen/types.ts'
import { withCondition } from '../../../proto/objects/conditions.ts'
import {
  FIRST_VNI,
  currentAllocation,
  LAST_VNI,
  DEFAULT_NETWORK_POOL,
  DEFAULT_NETWORK_PREFIX,
  partBits,
} from './network-allocation.ts'

export interface NetworkSnapshot {
  readonly network: Network
  /** Every other Network, of all namespaces. */
  readonly others: readonly Network[]
  /** Pods that ask for the network, by the node that they are bound to. */
  readonly pods: ReadonlyMap<string, number>
  /** Ranges that pods and Services have their addresses from. */
  readonly taken: readonly string[]
}

/** The status as it is to be. */
export function planNetwork({ network, others, pods, taken }: NetworkSnapshot, now: number): NetworkStatus {
  const { spec, status, metadata } = network
  const settle = (next: Partial<NetworkStatus>, holds: boolean, reason: string, message: string): NetworkStatus => ({
    ...status,
    ...next,
    observedGeneration: metadata.generation,
    conditions: withCondition(status.conditions, {
      type: 'Ready',
      status: holds ? 'True' : 'False',
      observedGeneration: metadata.generation,
      reason,
      message,
      lastTransitionTime: formatTime(now),
    }),
  })
  const held = currentAllocation(network, others)
  const cidrs = held.cidrs ?? choose(spec.cidrs, others, taken)
  if (cidrs === undefined)
    return settle(
      { cidrs: undefined, vni: held.vni, blocks: undefined },
      false,
      'NoRangeFree',
      `every range of ${formatCidr(DEFAULT_NETWORK_POOL)} is taken: give spec.cidrs`,
    )
  const ranges = cidrs.map((cidr) => readCidr(cidr)!)
  const clash = taken.find((other) => ranges.some((range) => rangesOverlap(range, readCidr(other)!)))
  if (clash !== undefined)
    return settle(
      { cidrs: held.cidrs && [...held.cidrs], vni: held.vni, blocks: [...held.blocks] },
      false,
      'RangeOverlaps',
      `${cidrs.join(', ')} overlaps ${clash}, from which the cluster gives addresses to pods or Services: make the Network again with another range`,
    )
  const vni = held.vni ?? freeVni(others)
  if (vni === undefined)
    return settle(
      { cidrs: [...cidrs], vni, blocks: [...held.blocks] },
      false,
      'NoNumberFree',
      'every VXLAN network identifier is taken',
    )
  const { blocks, short } = giveParts(ranges, held.blocks, pods)
  if (short.length > 0)
    return settle(
      { cidrs: [...cidrs], vni, blocks },
      false,
      'RangeExhausted',
      `${cidrs.join(', ')} has no part left for ${short.join(', ')}: pods there wait for others to go`,
    )
  return settle(
    { cidrs: [...cidrs], vni, blocks },
    true,
    'Provided',
    `${blocks.length === 0 ? 'no pod is on it yet' : `${new Set(blocks.map(({ node }) => node)).size} nodes give addresses`}`,
  )
}

function choose(
  asked: readonly string[] | undefined,
  others: readonly Network[],
  taken: readonly string[],
): string[] | undefined {
  if (asked !== undefined && asked.length > 0) return [...asked]
  const used = [...others.flatMap(({ spec, status }) => status.cidrs ?? spec.cidrs ?? []), ...taken].flatMap(
    (cidr) => readCidr(cidr) ?? [],
  )
  for (const range of parts(DEFAULT_NETWORK_POOL, 32 - DEFAULT_NETWORK_PREFIX))
    if (!used.some((other) => rangesOverlap(other, range))) return [formatCidr(range)]
  return undefined
}

function freeVni(others: readonly Network[]): number | undefined {
  const used = new Set(others.map(({ status }) => status.vni))
  for (let vni = FIRST_VNI; vni <= LAST_VNI; vni++) if (!used.has(vni)) return vni
  return undefined
}

/**
 * As many parts of each range as each node's pods need; those that a node has stay while it has pods. `short`: nodes
 * that got fewer.
 */
function giveParts(
  ranges: readonly AddressRange[],
  present: readonly NetworkBlock[],
  pods: ReadonlyMap<string, number>,
): { readonly blocks: NetworkBlock[]; readonly short: string[] } {
  const blocks = present.filter(({ node }) => (pods.get(node) ?? 0) > 0)
  const used = new Set(blocks.map(({ cidr }) => cidr))
  const short = new Set<string>()
  for (const range of ranges) {
    const bits = partBits(range)
    const room = 2 ** bits
    const free = freeParts(range, bits, used)
    const ofRange = (cidr: string): boolean => rangesOverlap(range, readCidr(cidr)!)
    for (const [node, count] of [...pods].sort(([a], [b]) => (a < b ? -1 : 1))) {
      // The range's own first and last address are nobody's: one part has them, whichever it is.
      const wanted = Math.ceil((count + 2) / room)
      for (let has = blocks.filter((block) => block.node === node && ofRange(block.cidr)).length; has < wanted; has++) {
        const next = free.next()
        if (next.done === true) {
          short.add(node)
          break
        }
        blocks.push({ node, cidr: next.value })
      }
    }
  }
  return { blocks, short: [...short].sort() }
}

function* freeParts(
  range: AddressRange,
  bits: number,
  used: ReadonlySet<string>,
): Generator<string, undefined, undefined> {
  for (const part of parts(range, bits)) {
    const cidr = formatCidr(part)
    if (!used.has(cidr)) yield cidr
  }
  return undefined
}

function* parts({ family, first, last }: AddressRange, bits: number): Generator<AddressRange, void, undefined> {
  const size = 1n << BigInt(bits)
  for (let at = first; at <= last; at += size) yield { family, first: at, last: at + size - 1n }
}
