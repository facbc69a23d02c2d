/** What the scheduler last found about each pod, for people: a sentence, and a verdict per node. */
import type { NodeVerdict, WhyResponse } from '../../proto/gen/types.ts'
import { formatTime } from '../../proto/base/time.ts'
import type { NodeOutcome } from './node-outcome.ts'
import type { FittingPlacement, Placement, RefusedPlacement } from './placement.ts'

/** Outcomes kept in all: those of the pods looked at longest ago go first. */
const MAX_NODE_OUTCOMES = 50_000
/** As how many outcomes it counts at most what is worked out when somebody asks. */
const EXPLAINED_LATER = 4

interface FoundNode extends Pick<FittingPlacement, 'fits' | 'score' | 'examined' | 'explain' | 'isExplained'> {
  readonly node: string
}

interface Found {
  readonly placement: FoundNode | RefusedPlacement
  /** Milliseconds since 1970. */
  readonly time: number
}

export class SchedulingDiagnostics {
  /** By the pod's uid, longest ago first. */
  readonly #found = new Map<string, Found>()
  /** Of how many pods each refusal is kept: those that are alike share one. */
  readonly #refusals = new Map<RefusedPlacement, number>()
  #count = 0

  record(uid: string, placement: Placement, time: number): void {
    this.forget(uid)
    this.#found.set(uid, { placement: placement.fits ? { ...placement, node: placement.node.name } : placement, time })
    this.#hold(placement)
    if (this.#count > MAX_NODE_OUTCOMES) this.#forgetOldest(uid)
  }

  forget(uid: string): void {
    const found = this.#found.get(uid)
    if (found === undefined) return
    this.#found.delete(uid)
    this.#release(found.placement)
  }

  /**
   * But for the one given, down to seven eighths: to find the oldest in a map takes longer the more have been deleted
   * before it.
   */
  #forgetOldest(latest: string): void {
    for (const [oldest] of this.#found) {
      if (this.#count <= (MAX_NODE_OUTCOMES * 7) / 8 || oldest === latest) break
      this.forget(oldest)
    }
  }

  #hold(placement: Placement): void {
    if (placement.fits) {
      this.#count += weightOf(placement)
      return
    }
    const pods = this.#refusals.get(placement) ?? 0
    this.#refusals.set(placement, pods + 1)
    this.#count += pods === 0 ? 1 + placement.examined : 1
  }

  #release(placement: Found['placement']): void {
    if (placement.fits) {
      this.#count -= weightOf(placement)
      return
    }
    const pods = this.#refusals.get(placement)! - 1
    if (pods > 0) this.#refusals.set(placement, pods)
    else this.#refusals.delete(placement)
    this.#count -= pods === 0 ? 1 + placement.examined : 1
  }

  /** `boundTo` is where the pod is bound, '' if it is not. */
  why(uid: string, boundTo: string): WhyResponse {
    const found = this.#found.get(uid)
    const placement = found?.placement
    const node = placement?.fits === true ? placement.node : ''
    const outcomes = boundTo === '' || boundTo === node ? placement && outcomesOf(placement) : undefined
    if (found === undefined || placement === undefined || outcomes === undefined)
      return {
        node: boundTo,
        verdicts: [],
        summary:
          boundTo === ''
            ? 'the scheduler has not looked at it yet'
            : `bound to ${boundTo}; nothing more is known of how that came about`,
        time: '',
      }
    return {
      node: boundTo,
      verdicts: outcomes
        .map(verdictOf)
        .sort(
          (one, other) =>
            Number(other.fits) - Number(one.fits) || other.score - one.score || (one.node < other.node ? -1 : 1),
        ),
      summary: placement.fits ? describeChoice(placement, outcomes) : placement.summary,
      time: formatTime(found.time),
    }
  }
}

function weightOf({ examined, isExplained }: Pick<FoundNode, 'examined' | 'isExplained'>): number {
  return isExplained ? examined : Math.min(examined, EXPLAINED_LATER)
}

function outcomesOf(placement: FoundNode | RefusedPlacement): readonly NodeOutcome[] | undefined {
  return placement.fits ? placement.explain() : placement.outcomes
}

function verdictOf(outcome: NodeOutcome): NodeVerdict {
  if (outcome.fits) return { node: outcome.node, fits: true, plugin: '', reason: '', score: outcome.score }
  return { node: outcome.node, fits: false, plugin: outcome.plugin, reason: outcome.refusal.detail, score: 0 }
}

/** "n1 is the best of 2 that fit (score 412; 3 nodes looked at)". */
function describeChoice({ node, score }: FoundNode, outcomes: readonly NodeOutcome[]): string {
  const fitting = outcomes.filter(({ fits }) => fits).length
  const nodes = outcomes.length === 1 ? 'node' : 'nodes'
  return `${node} is the best of ${fitting} that fit (score ${score.toFixed(0)}; ${outcomes.length} ${nodes} looked at)`
}
