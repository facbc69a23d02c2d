/** Endpoints: who sends connections to pods that end. */
import { healthOf } from '../../../controller/nodehealth/health.ts'
import type { Facts } from '../facts.ts'
import type { Invariant } from './invariant.ts'

/**
 * Milliseconds for which a node must have been heard from: a lost one is not waited for, and what it follows once it is
 * back is old for a while.
 */
const SETTLED_MS = 10_000

/** Once a pod's agent is told that nobody sends the pod anything any more, no node does that is heard from. */
export const drainedPodsAreSentNothing: Invariant = {
  name: 'a drained pod is sent nothing',
  make() {
    const drained = new Set<string>()
    /** When a node was last not ready, by name. */
    const unready = new Map<string, number>()
    const isSettled = (node: string, facts: Facts): boolean =>
      facts.list('Node').some((found) => found.metadata.name === node && healthOf(found).is === 'ready') &&
      facts.time - (unready.get(node) ?? facts.time) >= SETTLED_MS
    return (fact, facts) => {
      if (fact.is === 'powerLost') unready.set(fact.node, facts.time)
      if (fact.is === 'committed') {
        const { before, after } = fact
        const wasReady = before?.kind === 'Node' && healthOf(before).is === 'ready'
        if (after?.kind === 'Node' && !wasReady) unready.set(after.metadata.name, facts.time)
      }
      if (fact.is === 'drained') {
        for (const uid of fact.podUids) {
          drained.add(uid)
          for (const [node, podUids] of facts.sending)
            if (podUids.has(uid) && isSettled(node, facts))
              return `agent ${fact.node} is told that pod ${uid} is sent nothing, and ${node} sends to it`
        }
      }
      if (fact.is === 'sends' && isSettled(fact.node, facts))
        for (const uid of fact.podUids)
          if (drained.has(uid)) return `${fact.node} sends to pod ${uid}, which was drained`
      return undefined
    }
  },
}
