/** Which steps under way have lost their point: pure. */
import type { PodRecord } from '../../state/contract.ts'
import { containerOf, isBeingDeleted, isStopping, runningStage } from './pod-state.ts'
import type { PodStep } from './pod-plan.ts'

/** Why a step that is under way is to end at once; undefined: it goes on. */
export function cutShort(step: PodStep, record: PodRecord): string | undefined {
  switch (step.step) {
    case 'pull':
      return stopping(record) ?? (containerOf(record, step.container).image === step.image ? undefined : OTHER_IMAGE)
    case 'sandbox':
    case 'volumes':
    case 'start':
      return stopping(record)
    case 'postStart':
      return stopping(record) ?? ending(step.container, record)
    case 'preStop':
      return ending(step.container, record)
    case 'resize':
    case 'kill':
    case 'end':
    case 'remove':
    case 'fail':
    case 'teardown':
    case 'release':
      return undefined
  }
}

const OTHER_IMAGE = 'the container is to run another image'

function stopping(record: PodRecord): string | undefined {
  if (!isStopping(record)) return undefined
  return isBeingDeleted(record) ? 'the pod is being deleted' : 'the pod is being stopped'
}

/** A hook ends with its container, and when the container is sent a signal. */
function ending(container: string, record: PodRecord): string | undefined {
  const sent = runningStage(record, container)?.kill?.sent ?? 'NOTHING'
  return runningStage(record, container) !== undefined && sent === 'NOTHING'
    ? undefined
    : `container ${container} is being ended`
}
