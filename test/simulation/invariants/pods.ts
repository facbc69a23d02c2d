/** Pods: where they run, how often, and what is told of them. */
import type { ContainerStatus, Pod } from '../../../proto/gen/types.ts'
import type { Invariant } from './invariant.ts'

/** No pod has processes on two machines, nor on another than the one that it was placed on. */
export const podsRunWhereTheyArePlaced: Invariant = {
  name: 'two agents never run the same pod',
  make() {
    return (fact, facts) => {
      if (fact.is !== 'begun') return undefined
      const { node, instance } = fact
      const pod = facts.byUid(instance.podUid)
      if (pod?.kind !== 'Pod') return `${node} began a container of pod ${instance.podUid}, which never was`
      if (pod.spec.nodeName !== node)
        return `${node} began a container of pod ${pod.metadata.name}, which is on node ${pod.spec.nodeName ?? 'none'}`
      for (const other of facts.alive.values())
        if (other.instance.podUid === instance.podUid && other.node !== node)
          return `pod ${pod.metadata.name} runs on ${node} and on ${other.node}`
      return undefined
    }
  },
}

/** A container has one process at a time. */
export const containersRunOnce: Invariant = {
  name: 'a container never has two instances at once',
  make() {
    return (fact, facts) => {
      if (fact.is !== 'begun') return undefined
      const { instance } = fact
      for (const { instance: other } of facts.alive.values())
        if (other.podUid === instance.podUid && other.container === instance.container && other.id !== instance.id)
          return `container ${instance.container} of pod ${instance.podUid} runs as ${other.id} and as ${instance.id}`
      return undefined
    }
  },
}

/**
 * What may run only once is not started again: neither after it ended, nor after its agent or its machine did. Records
 * are not flushed to disk, so one start is excused after a power loss: where nobody was told of the first yet, or where
 * the loss brought an older state of the record back.
 */
export const onceMeansOnce: Invariant = {
  name: 'an at-most-once pod never runs twice',
  make() {
    const starts = new Map<string, number>()
    const forgotten = new Set<string>()
    const told = new Set<string>()
    return (fact, facts) => {
      if (fact.is === 'committed' && fact.after?.kind === 'Pod') {
        const { status, metadata } = fact.after
        for (const { name, state } of status.containerStatuses ?? [])
          if (state?.running !== undefined || state?.terminated !== undefined) told.add(`${metadata.uid}/${name}`)
      }
      if (fact.is === 'powerLost')
        for (const key of starts.keys()) if (!told.has(key) || fact.fellBack.has(key.split('/')[0]!)) forgotten.add(key)
      if (fact.is !== 'begun') return undefined
      const { instance } = fact
      const pod = facts.byUid(instance.podUid)
      if (pod?.kind !== 'Pod' || pod.spec.restartPolicy !== 'Never') return undefined
      const key = `${instance.podUid}/${instance.container}`
      const before = starts.get(key) ?? 0
      starts.set(key, before + 1)
      if (before === 0 || forgotten.delete(key)) return undefined
      return `container ${instance.container} of pod ${pod.metadata.name}, which may run only once, was started ${before + 1} times`
    }
  },
}

const PHASES = ['Pending', 'Running', 'Succeeded', 'Failed']

/** What was observed does not become unobserved. */
export const statusOnlyAdvances: Invariant = {
  name: 'observed status never moves backwards',
  make() {
    /** Pods whose records a power loss has set back: what is told of them begins anew. */
    const setBack = new Set<string>()
    return (fact) => {
      if (fact.is === 'powerLost') for (const uid of fact.fellBack) setBack.add(uid)
      if (fact.is !== 'committed' || fact.before?.kind !== 'Pod' || fact.after?.kind !== 'Pod') return undefined
      const { before, after } = fact
      if (before.metadata.uid !== after.metadata.uid || setBack.has(after.metadata.uid)) return undefined
      const problem = phaseBack(before, after) ?? startBack(before, after) ?? containersBack(before, after)
      return problem === undefined ? undefined : `pod ${after.metadata.name}: ${problem}`
    }
  },
}

function phaseBack(before: Pod, after: Pod): string | undefined {
  const [from, to] = [before.status.phase ?? 'Pending', after.status.phase ?? 'Pending']
  if (from === to) return undefined
  const ended = from === 'Succeeded' || from === 'Failed'
  return ended || PHASES.indexOf(to) < PHASES.indexOf(from) ? `its phase was ${from} and is ${to}` : undefined
}

function startBack(before: Pod, after: Pod): string | undefined {
  const [from, to] = [before.status.startTime, after.status.startTime]
  return from !== undefined && to === undefined ? `its start time ${from} is gone` : undefined
}

function containersBack(before: Pod, after: Pod): string | undefined {
  for (const was of before.status.containerStatuses ?? []) {
    const is = after.status.containerStatuses?.find(({ name }) => name === was.name)
    if (is === undefined) return `container ${was.name} is no longer told of`
    if ((is.restartCount ?? 0) < (was.restartCount ?? 0))
      return `container ${was.name} was started again ${was.restartCount} times and now ${is.restartCount ?? 0}`
    // One that waits to be started again tells of its last instance.
    const restarts = is.lastState?.terminated?.containerID === was.containerID
    const sameInstance = is.containerID === was.containerID && (was.containerID ?? '') !== ''
    if (sameInstance && stageOf(is) < stageOf(was) && !restarts)
      return `container ${was.name} was ${stateOf(was)} and is ${stateOf(is)}`
  }
  return undefined
}

function stateOf({ state }: ContainerStatus): 'waiting' | 'running' | 'terminated' {
  return state?.terminated !== undefined ? 'terminated' : state?.running !== undefined ? 'running' : 'waiting'
}

function stageOf(status: ContainerStatus): number {
  return ['waiting', 'running', 'terminated'].indexOf(stateOf(status))
}
