/** What is found about a node where a pod is placed, and what is found about all of them as one sentence. */
import type { FilterRejection } from './framework.ts'

export type NodeOutcome =
  | { readonly node: string; readonly fits: true; readonly score: number }
  | { readonly node: string; readonly fits: false; readonly plugin: string; readonly refusal: FilterRejection }

/** Why a pod fits nowhere: "0/3 nodes fit: 2 cpu short (at best by 400m, on n2), 1 cordoned". */
export function summarizeRefusals(outcomes: readonly NodeOutcome[]): string {
  if (outcomes.length === 0) return 'there is no node yet'
  const groups = new Map<string, { count: number; best: { node: string; amount: number; text: string } | undefined }>()
  for (const outcome of outcomes) {
    if (outcome.fits) continue
    const { reason, shortage } = outcome.refusal
    const group = groups.get(reason) ?? { count: 0, best: undefined }
    groups.set(reason, group)
    group.count++
    if (shortage !== undefined && shortage.amount < (group.best?.amount ?? Infinity))
      group.best = { node: outcome.node, ...shortage }
  }
  // By count, then by name: the sentence must not depend on the order in which nodes were looked at.
  const parts = [...groups]
    .sort(([reason, { count }], [otherReason, other]) => other.count - count || (reason < otherReason ? -1 : 1))
    .map(
      ([reason, { count, best }]) =>
        `${count} ${reason}${best === undefined ? '' : ` (at best by ${best.text}, on ${best.node})`}`,
    )
  return `0/${outcomes.length} ${outcomes.length === 1 ? 'node' : 'nodes'} fit: ${parts.join(', ')}`
}
