/** What an earlier run of the agent has left of a pod, and what the runtime says of it: pure. */
import type { ContainerRecord as RuntimeContainer } from '../../runtime/contract.ts'
import type { ContainerRecord, ContainerStage, Kill, PodRecord, PodStage } from '../../state/contract.ts'
import type { Change } from './changes.ts'
import { movedKill } from './container-changes.ts'
import { instanceIn, isStopping } from './pod-state.ts'
import { restartBackoff } from './restart-backoff.ts'
import { lostTermination } from './termination.ts'

/**
 * Milliseconds by which the wall clock may stray from the monotonic one before it counts as set; less is made up for
 * once it adds up to this.
 */
export const CLOCK_JUMP_THRESHOLD_MS = 1_000

/**
 * The record as the agent carries on with it. None of its waits began later than now, though the wall clock may have
 * been set back since; hooks that were under way count as ended, since none runs twice.
 */
export function recoveredRecord(record: PodRecord, now: number): PodRecord {
  const containers = Object.entries(record.containers).map(([name, known]): [string, ContainerRecord] => [
    name,
    { ...known, stage: recoveredStage(known, now) },
  ])
  return { ...record, stage: recoveredPodStage(record, now), containers: Object.fromEntries(containers) }
}

function recoveredPodStage(record: PodRecord, now: number): PodStage {
  const { stage } = record
  switch (stage.stage) {
    case 'active':
      return isStopping(record) ? { stage: 'stopping', since: now } : { ...stage, since: Math.min(stage.since, now) }
    case 'stopping':
      return { ...stage, since: Math.min(stage.since, now) }
    case 'tornDown':
    case 'released':
      return stage
  }
}

function recoveredStage({ stage, failures }: ContainerRecord, now: number): ContainerStage {
  switch (stage.stage) {
    case 'idle':
    case 'creating':
    case 'created':
      return stage
    case 'running': {
      const { kill, postStart } = stage
      return {
        ...stage,
        ...(postStart === 'begun' && { postStart: 'ended' }),
        ...(kill !== undefined && { kill: recoveredKill(kill, now) }),
      }
    }
    case 'exited':
      return stage.postStart === 'begun' ? { ...stage, postStart: 'ended' } : stage
    case 'ended':
      return { ...stage, retryAt: Math.min(stage.retryAt, now + restartBackoff(failures)) }
  }
}

function recoveredKill(kill: Kill, now: number): Kill {
  const bounded = movedKill(kill, Math.min(0, now - kill.since))
  return bounded.preStop === 'begun' ? { ...bounded, preStop: 'ended' } : bounded
}

/** What is different from the record, as the runtime tells at the agent's start. */
export function adoptionChanges(
  { sandbox, containers }: PodRecord,
  existing: ReadonlyMap<string, RuntimeContainer>,
  sandboxExists: boolean,
  now: number,
): Change[] {
  const lost: Change[] = sandbox !== undefined && !sandboxExists ? [{ change: 'sandboxLost' }] : []
  const found = Object.values(containers).flatMap(({ stage }): Change[] => {
    const instance = instanceIn(stage)
    // What has exited is on record already, and is dealt with as always.
    if (instance === undefined || stage.stage === 'exited') return []
    const { id } = instance
    const state = existing.get(id)?.state
    switch (state?.state) {
      case undefined:
        // Without a sandbox the machine has lost its power, and with it perhaps what the record said last: one that was
        // about to be may have run, and what may run only once is not begun again on a guess.
        return stage.stage === 'creating' && (sandboxExists || sandbox === undefined)
          ? [{ change: 'abandoned', id }]
          : [{ change: 'ended', end: lostTermination(stage, instance, now), at: now }]
      case 'created':
        return [{ change: 'abandoned', id }]
      case 'running':
        return [{ change: 'adopted', id, pid: state.pid, startedAt: state.startedAt }]
      case 'exited':
        return [{ change: 'exited', id, exit: state }]
    }
  })
  return [...lost, ...found]
}
