/** All invariants. */
import { drainedPodsAreSentNothing } from './endpoints.ts'
import type { Invariant } from './invariant.ts'
import { containersRunOnce, onceMeansOnce, podsRunWhereTheyArePlaced, statusOnlyAdvances } from './pods.ts'
import { nodesAreToldOnlyWhatTheyUse } from './secrets.ts'
import {
  acknowledgedWritesHappened,
  addressesAreUnique,
  countsOf,
  onlyLeadersPlacePods,
  podsLeaveFirst,
  readsShowWhatWasAcknowledged,
} from './writes.ts'

/** What users have done, as far as invariants have to know. */
interface Doings {
  /** Uids of pods that were to go without waiting for their nodes. */
  readonly forced: ReadonlySet<string>
  /** How often each counter was counted up. */
  readonly counts: ReadonlyMap<string, { acknowledged: number; unknown: number }>
}

export function invariants({ forced, counts }: Doings): readonly Invariant[] {
  return [
    acknowledgedWritesHappened,
    readsShowWhatWasAcknowledged,
    podsLeaveFirst(forced),
    countsOf(counts),
    onlyLeadersPlacePods,
    addressesAreUnique,
    podsRunWhereTheyArePlaced,
    containersRunOnce,
    onceMeansOnce,
    statusOnlyAdvances,
    nodesAreToldOnlyWhatTheyUse,
    drainedPodsAreSentNothing,
  ]
}
