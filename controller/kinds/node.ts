/** Nodes: an agent registers its own, with the status that it observed. */
import { formatTime } from '../../proto/base/time.ts'
import type { Node } from '../../proto/gen/types.ts'
import type { Strategy } from './strategy.ts'

export const nodeStrategy: Strategy<'Node'> = {
  participants: ['node-ranges'],
  prepareForCreate: (node, now) => stampTaints(node, undefined, now),
  prepareForUpdate: (next, stored, { now }) => stampTaints(next, stored, now),
}

/**
 * A pod's tolerationSeconds count from the time at which a taint that evicts was added: such a taint keeps that time
 * for as long as it is there.
 */
function stampTaints({ spec }: Node, stored: Node | undefined, now: number): void {
  const evicting = (stored?.spec.taints ?? []).filter(({ effect }) => effect === 'NoExecute')
  const added = new Map(evicting.reverse().map(({ key, timeAdded }) => [key, timeAdded]))
  spec?.taints?.forEach((taint) => {
    if (taint.effect === 'NoExecute') taint.timeAdded ??= added.get(taint.key) ?? formatTime(now)
  })
}
