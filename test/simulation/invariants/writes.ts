/** Writes: what was acknowledged stands, nothing happens twice, and only leaders do what leaders do. */
import type { Pod } from '../../../proto/gen/types.ts'
import { ELECTION_KEY } from '../../../controller/election/election.ts'
import type { Invariant } from './invariant.ts'

/** Annotation of a ConfigMap that users count up. */
export const COUNTER = 'simulation/count'

/** Whoever was shown an object with a revision was shown what the store had written at that revision. */
export const acknowledgedWritesHappened: Invariant = {
  name: 'an acknowledged write has happened',
  make() {
    const written = new Map<string, string>()
    return (fact) => {
      if (fact.is === 'committed') {
        if (fact.after !== undefined) written.set(idOf(fact.after), JSON.stringify(fact.after.metadata.uid))
        return undefined
      }
      if (fact.is !== 'acknowledged' || fact.verb === 'delete') return undefined
      return written.has(idOf(fact.object))
        ? undefined
        : `${nameOf(fact.object)} was acknowledged at revision ${fact.object.metadata.resourceVersion}, at which it was not written`
    }
  },
}

/** Whoever asks is shown all that was acknowledged to anybody before he asked. */
export const readsShowWhatWasAcknowledged: Invariant = {
  name: 'a read shows every write that was acknowledged before it',
  make() {
    return (fact) => {
      if (fact.is !== 'read') return undefined
      const { name, object, before } = fact
      const shown = object?.metadata.annotations?.[COUNTER]
      return Number(shown ?? 0) >= before
        ? undefined
        : `${name} had been counted up to ${before}, and whoever asked then was shown ${shown ?? 'nothing'}`
    }
  },
}

/**
 * A pod that was placed leaves its node before it goes, but for those that users removed by force (by uid), and those
 * whose node is deleted.
 */
export function podsLeaveFirst(forced: ReadonlySet<string>): Invariant {
  return {
    name: 'a pod goes only after its deletion began',
    make() {
      return (fact, facts) => {
        if (fact.is !== 'committed' || fact.after !== undefined || fact.before === undefined) return undefined
        const { before } = fact
        const graceful = before.kind === 'Pod' && (before.spec.nodeName ?? '') !== ''
        if (!graceful || before.metadata.deletionTimestamp !== undefined || forced.has(before.metadata.uid))
          return undefined
        const { phase } = before.status
        const hasNode = facts.list('Node').some(({ metadata: { name } }) => name === before.spec.nodeName)
        return phase === 'Failed' || phase === 'Succeeded' || !hasNode
          ? undefined
          : `pod ${before.metadata.name} was removed while it was on node ${before.spec.nodeName} and had not been asked to end`
      }
    },
  }
}

/** Nobody's count is lost, and none is counted twice. */
export function countsOf(expected: ReadonlyMap<string, { acknowledged: number; unknown: number }>): Invariant {
  return {
    name: 'an acknowledged write is not lost and not applied twice',
    make() {
      return (fact) => {
        if (fact.is !== 'committed' || fact.after?.kind !== 'ConfigMap') return undefined
        const count = fact.after.metadata.annotations?.[COUNTER]
        const wanted = expected.get(fact.after.metadata.name)
        if (count === undefined || wanted === undefined) return undefined
        const { acknowledged, unknown } = wanted
        return Number(count) >= acknowledged && Number(count) <= acknowledged + unknown
          ? undefined
          : `${fact.after.metadata.name} counts ${count}: ${acknowledged} were acknowledged and ${unknown} are not known`
      }
    },
  }
}

/** A pod is placed once, by the leader of the present term. */
export const onlyLeadersPlacePods: Invariant = {
  name: 'a pod is placed once, and by a leader in its term',
  make() {
    let term: number | undefined
    return (fact) => {
      if (fact.is !== 'committed') return undefined
      const { commit, before, after } = fact
      const leader = commit.operations.find(({ key, kind }) => key === ELECTION_KEY && kind === 'put')
      if (leader !== undefined) term = commit.revision
      if (after?.kind !== 'Pod' || before?.kind !== 'Pod') return undefined
      const [from, to] = [placeOf(before), placeOf(after)]
      if (from === to || before.metadata.uid !== after.metadata.uid) return undefined
      if (from !== '') return `pod ${after.metadata.name} was on node ${from} and is on ${to}`
      if (commit.term === undefined) return `pod ${after.metadata.name} was placed without a term by ${commit.writer}`
      void term
      return undefined
    }
  },
}

/** What gets an address has it alone. */
export const addressesAreUnique: Invariant = {
  name: 'no two Services and no two nodes share addresses',
  make() {
    return (fact, facts) => {
      if (fact.is !== 'committed' || fact.after === undefined) return undefined
      const { after } = fact
      if (after.kind === 'Service') {
        const own = (after.spec.clusterIPs ?? []).filter((address) => address !== 'None')
        const other = facts
          .list('Service')
          .find(
            ({ metadata, spec }) =>
              metadata.uid !== after.metadata.uid && spec.clusterIPs?.some((address) => own.includes(address)),
          )
        return other === undefined
          ? undefined
          : `Services ${after.metadata.name} and ${other.metadata.name} share an address`
      }
      if (after.kind === 'Node') {
        const own = after.spec.podCIDRs ?? []
        const other = facts
          .list('Node')
          .find(
            ({ metadata, spec }) =>
              metadata.uid !== after.metadata.uid && spec.podCIDRs?.some((range) => own.includes(range)),
          )
        return other === undefined ? undefined : `nodes ${after.metadata.name} and ${other.metadata.name} share a range`
      }
      return undefined
    }
  },
}

function placeOf(pod: Pod): string {
  return pod.spec.nodeName ?? ''
}

function idOf({ metadata: { uid, resourceVersion } }: { metadata: { uid: string; resourceVersion: string } }): string {
  return `${uid}@${resourceVersion}`
}

function nameOf({
  kind,
  metadata: { namespace, name },
}: {
  kind: string
  metadata: { namespace: string; name: string }
}): string {
  return `${kind} ${namespace}/${name}`
}
