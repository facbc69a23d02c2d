/** A Network: its ranges, and the parts of them that nodes give addresses from. */
import type { Network } from '../../gen/types.ts'
import { conditionEntry, deletionEntries, markEntries, nameEntries, tableEntry } from './metadata.ts'
import { entry, type Entry } from './page.ts'

export function networkEntries(network: Network): Entry[] {
  const {
    spec,
    status: { cidrs = spec.cidrs ?? [], vni, blocks = [], conditions },
  } = network
  return [
    ...nameEntries(network),
    ...markEntries(network),
    ...deletionEntries(network),
    entry('Ranges', cidrs.length === 0 ? '<none>' : cidrs.join(', ')),
    entry('VNI', vni === undefined ? '<none>' : String(vni)),
    blocks.length === 0
      ? entry('Nodes', '<none>')
      : tableEntry(
          'Nodes',
          ['Node', 'Addresses from'],
          blocks.map(({ node, cidr }) => [node, cidr]),
        ),
    ...(conditions === undefined ? [] : [conditionEntry(conditions)]),
  ]
}
