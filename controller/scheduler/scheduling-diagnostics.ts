/** What the scheduler last found about each pod, for people: a sentence, and a verdict per node. */
import type { NodeVerdict, WhyResponse } from '../../proto/gen/types.ts'
import { formatTime } from '../../proto/base/time.ts'
import type { NodeOutcome, Placement } from './placement.ts'

/** Verdicts kept in all: those of the pods looked at longest ago go first. */
const MAX_NODE_OUTCOMES = 50_000

interface Found {
  /** '' while no node fits. */
  readonly node: string
  readonly outcomes: readonly NodeOutcome[]
  readonly summary: string
  /** Milliseconds since 1970. */
  readonly time: number
}

export class SchedulingDiagnostics {
  /** By the pod's uid, longest ago first. */
  readonly #found = new Map<string, Found>()
  #count = 0

  record(uid: string, placement: Placement, time: number): void {
    this.forget(uid)
    const { outcomes } = placement
    this.#found.set(uid, {
      node: placement.fits ? placement.node.name : '',
      outcomes,
      summary: summarize(placement),
      time,
    })
    this.#count += outcomes.length
    for (const [oldest] of this.#found) {
      if (this.#count <= MAX_NODE_OUTCOMES || oldest === uid) break
      this.forget(oldest)
    }
  }

  forget(uid: string): void {
    this.#count -= this.#found.get(uid)?.outcomes.length ?? 0
    this.#found.delete(uid)
  }

  /** `boundTo` is where the pod is bound, '' if it is not. */
  why(uid: string, boundTo: string): WhyResponse {
    const found = this.#found.get(uid)
    if (found === undefined || (boundTo !== '' && found.node !== boundTo)) {
      return {
        node: boundTo,
        verdicts: [],
        summary:
          boundTo === ''
            ? 'the scheduler has not looked at it yet'
            : `bound to ${boundTo}; nothing more is known of how that came about`,
        time: '',
      }
    }
    const { outcomes, summary, time } = found
    return {
      node: boundTo,
      verdicts: outcomes
        .map(verdictOf)
        .sort(
          (one, other) =>
            Number(other.fits) - Number(one.fits) || other.score - one.score || (one.node < other.node ? -1 : 1),
        ),
      summary,
      time: formatTime(time),
    }
  }
}

function verdictOf(outcome: NodeOutcome): NodeVerdict {
  if (outcome.fits) return { node: outcome.node, fits: true, plugin: '', reason: '', score: outcome.score }
  return { node: outcome.node, fits: false, plugin: outcome.plugin, reason: outcome.refusal.detail, score: 0 }
}

/**
 * "0/3 nodes fit: 2 cpu short (at best by 400m, on n2), 1 cordoned" or "fits on n1 best (score 412), of 2/3 nodes that
 * fit".
 */
export function summarize(placement: Placement): string {
  const { outcomes } = placement
  const nodes = outcomes.length === 1 ? 'node' : 'nodes'
  if (placement.fits) {
    const fitting = outcomes.filter(({ fits }) => fits).length
    return `${placement.node.name} is the best of ${fitting} that fit (score ${placement.score.toFixed(0)}; ${outcomes.length} ${nodes} looked at)`
  }
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
  return `0/${outcomes.length} ${nodes} fit: ${parts.join(', ')}`
}
