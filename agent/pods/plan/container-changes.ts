/** What a change of a container makes of its record: pure. */
import type { Pod } from '../../../proto/gen/types.ts'
import type { ContainerRecord, ContainerStage, Kill, RunningStage, Termination } from '../../state/contract.ts'
import type { InstanceChange } from './changes.ts'
import { instanceIn } from './pod-state.ts'
import { nextFailureCount, restartBackoff } from './restart-backoff.ts'

/** Seconds: a container that is ended for its health has at least so many, as in Kubernetes. */
const LEAST_UNHEALTHY_GRACE = 2

/** The instance that a change is about. */
export function instanceIdOf(change: InstanceChange): string {
  return change.change === 'ended' ? change.end.id : change.id
}

/** The record of the container whose present instance the change names. */
export function changeContainer(
  known: ContainerRecord,
  change: InstanceChange,
  { spec }: Pod,
  stopping: boolean,
): ContainerRecord {
  const { stage } = known
  const running = (make: (stage: RunningStage) => RunningStage): ContainerRecord =>
    stage.stage === 'running' ? { ...known, stage: make(stage) } : known
  switch (change.change) {
    case 'abandoned':
      return { ...known, stage: { stage: 'idle' } }
    case 'created':
      return stage.stage === 'creating' ? { ...known, stage: { stage: 'created', instance: stage.instance } } : known
    case 'running':
      return stage.stage === 'creating' || stage.stage === 'created' ? { ...known, stage: run(stage, change) } : known
    case 'adopted':
      return { ...known, stage: adopt(stage, change) }
    case 'exited':
      return { ...known, stage: exit(stage, change.exit) }
    case 'ended':
      return end(known, change.end, change.at)
    case 'postStart':
      return running((present) => ({ ...present, postStart: change.progress }))
    case 'preStop':
      return running((present) =>
        present.kill === undefined ? present : { ...present, kill: { ...present.kill, preStop: change.progress } },
      )
    case 'kill':
      return running((present) => ({ ...present, kill: mergeKill(present.kill, change.kill) }))
    case 'unhealthy': {
      const { at, graceSeconds = spec.terminationGracePeriodSeconds } = change
      const deadline = at + Math.max(LEAST_UNHEALTHY_GRACE, graceSeconds) * 1000
      return running((present) =>
        stopping || present.kill !== undefined
          ? present
          : { ...present, kill: { reason: 'unhealthy', since: at, deadline, sent: 'NOTHING' } },
      )
    }
    case 'startedUp':
      return running((present) => ({ ...present, started: true }))
    case 'readiness':
      return running((present) => ({ ...present, ready: change.ready }))
    case 'resourcesSet':
      return { ...known, resources: change.resources }
  }
}

function run(
  { instance }: Extract<ContainerStage, { stage: 'creating' | 'created' }>,
  { pid, startedAt }: { readonly pid: number; readonly startedAt: number },
): RunningStage {
  return { stage: 'running', instance, pid, startedAt }
}

/** Whether the agent lived to send SIGKILL is not known, and twice does no harm. */
function adopt(stage: ContainerStage, change: Extract<InstanceChange, { change: 'adopted' }>): ContainerStage {
  switch (stage.stage) {
    case 'idle':
    case 'ended':
    case 'exited':
      return stage
    case 'creating':
    case 'created':
      return run(stage, change)
    case 'running': {
      const { kill } = stage
      const { pid, startedAt } = change
      return { ...stage, pid, startedAt, ...(kill?.sent === 'KILL' && { kill: { ...kill, sent: 'TERM' } }) }
    }
  }
}

function exit(stage: ContainerStage, exited: Extract<InstanceChange, { change: 'exited' }>['exit']): ContainerStage {
  switch (stage.stage) {
    case 'idle':
    case 'ended':
    case 'exited':
      return stage
    case 'creating':
    case 'created':
      return { stage: 'exited', instance: stage.instance, exit: exited }
    case 'running': {
      const { instance, postStart, kill } = stage
      return { stage: 'exited', instance, exit: exited, postStart, kill }
    }
  }
}

/**
 * An instance's end, and what follows from it: one that ended so that another image or other resources take its place
 * is followed at once, any other after its back-off.
 */
function end(known: ContainerRecord, ended: Termination, at: number): ContainerRecord {
  const kill = killIn(known.stage)
  if (kill?.reason === 'changed')
    return { ...known, stage: { stage: 'idle' }, last: ended, attempt: ended.attempt + 1, failures: 0 }
  const failures = nextFailureCount(known.failures, ended.startedAt === 0 ? 0 : ended.finishedAt - ended.startedAt)
  return {
    ...known,
    failures,
    stage: {
      stage: 'ended',
      end: kill?.reason === 'unhealthy' ? { ...ended, unhealthy: true } : ended,
      retryAt: at + restartBackoff(failures),
    },
  }
}

export function killIn(stage: ContainerStage): Kill | undefined {
  return stage.stage === 'running' || stage.stage === 'exited' ? stage.kill : undefined
}

/** What the hook has put on record since the plan was made stays. */
function mergeKill(before: Kill | undefined, kill: Kill | undefined): Kill | undefined {
  return kill === undefined ? undefined : { ...kill, preStop: before?.preStop ?? kill.preStop }
}

/** Back-offs are over: something was changed that may have made the container fail. */
export function forgiven(known: ContainerRecord): ContainerRecord {
  const { stage } = known
  if (known.failures === 0 && (stage.stage !== 'ended' || stage.retryAt === 0)) return known
  return { ...known, failures: 0, stage: stage.stage === 'ended' ? { ...stage, retryAt: 0 } : stage }
}

/** An init container is to run again, and what comes after it is to wait for it. */
export function toRunAgain(known: ContainerRecord): ContainerRecord {
  const { passed: _, ...rest } = known
  const { stage } = rest
  return stage.stage === 'ended'
    ? { ...rest, last: stage.end, attempt: stage.end.attempt + 1, stage: { stage: 'idle' } }
    : rest
}

/** Whether an instance was made, once; `started`: and came to run or to an end. */
export function wasMade({ stage, last }: ContainerRecord, started: boolean): boolean {
  if (last !== undefined) return true
  switch (stage.stage) {
    case 'idle':
    case 'creating':
      return false
    case 'created':
      return !started
    case 'running':
    case 'exited':
    case 'ended':
      return true
  }
}

/** The same moments after the wall clock was set. */
export function movedStage(stage: ContainerStage, by: number): ContainerStage {
  switch (stage.stage) {
    case 'idle':
    case 'creating':
    case 'created':
      return stage
    case 'running':
    case 'exited':
      return stage.kill === undefined ? stage : { ...stage, kill: movedKill(stage.kill, by) }
    case 'ended':
      return stage.retryAt > 0 ? { ...stage, retryAt: stage.retryAt + by } : stage
  }
}

export function movedKill(kill: Kill, by: number): Kill {
  return { ...kill, since: kill.since + by, deadline: kill.deadline + by }
}

/** The instance of a container is the one that a change names. */
export function hasInstance({ stage }: ContainerRecord, id: string): boolean {
  return instanceIn(stage)?.id === id
}
