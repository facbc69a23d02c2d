/** What people are told when something about a pod changes: pure. */
import type { PodRecord } from '../../state/contract.ts'
import type { Change, InstanceChange } from './changes.ts'
import { hasInstance, killIn } from './container-changes.ts'
import { containerRecord, isStopping } from './pod-state.ts'
import { restartBackoff } from './restart-backoff.ts'

export interface ChangeEvent {
  readonly type: 'Normal' | 'Warning'
  /** As Kubernetes names it, where it has a name for it. */
  readonly reason: string
  readonly message: string
  readonly container?: string
}

/** Of a change that made the record `after` out of `before`. */
export function changeEvent(change: Change, before: PodRecord, after: PodRecord): ChangeEvent | undefined {
  switch (change.change) {
    case 'failed':
      return { type: 'Warning', reason: change.reason, message: change.message }
    case 'resizeAccepted':
      return {
        type: 'Normal',
        reason: 'ResizeStarted',
        message: 'the containers are given the resources that the pod asks for',
      }
    case 'resizeRejected':
      return { type: 'Warning', reason: `Resize${change.why.reason}`, message: change.why.message }
    case 'resized':
      return change.restarts
        ? undefined
        : {
            type: 'Normal',
            reason: 'ResizeCompleted',
            message: 'the containers have the resources that the pod asks for',
          }
    case 'ended':
      return backOff(change, before, after)
    case 'unhealthy':
      return killing(change, before, after)
    case 'assigned':
    case 'unassigned':
    case 'endpointsDrained':
    case 'configured':
    case 'mounted':
    case 'sandboxed':
    case 'sandboxLost':
    case 'removed':
    case 'orphaned':
    case 'tornDown':
    case 'released':
    case 'clockJumped':
    case 'status':
    case 'prepared':
    case 'unprepared':
    case 'creating':
    case 'abandoned':
    case 'created':
    case 'running':
    case 'exited':
    case 'postStart':
    case 'preStop':
    case 'kill':
    case 'startedUp':
    case 'readiness':
    case 'resourcesSet':
    case 'adopted':
    case 'stepBegun':
    case 'stepEnded':
    case 'stepFailed':
    case 'stepSucceeded':
      return undefined
  }
}

function backOff(
  { end, at }: Extract<InstanceChange, { change: 'ended' }>,
  before: PodRecord,
  after: PodRecord,
): ChangeEvent | undefined {
  const name = nameOf(before, end.id)
  if (name === undefined || isStopping(after)) return undefined
  const { stage, failures } = containerRecord(after, name)
  if (stage.stage !== 'ended' || stage.retryAt <= at) return undefined
  return {
    type: 'Warning',
    reason: 'BackOff',
    message: `back-off ${restartBackoff(failures) / 1000} s before container ${name} is started again`,
    container: name,
  }
}

function killing(
  { id, why }: Extract<InstanceChange, { change: 'unhealthy' }>,
  before: PodRecord,
  after: PodRecord,
): ChangeEvent | undefined {
  const name = nameOf(before, id)
  if (name === undefined || killIn(containerRecord(before, name).stage) !== undefined) return undefined
  if (killIn(containerRecord(after, name).stage) === undefined) return undefined
  const again = after.pod.spec.restartPolicy === 'Never' ? '' : ', will be restarted'
  return { type: 'Normal', reason: 'Killing', message: `Container ${name} ${why}${again}`, container: name }
}

function nameOf({ containers }: PodRecord, id: string): string | undefined {
  return Object.entries(containers).find(([, known]) => hasInstance(known, id))?.[0]
}
