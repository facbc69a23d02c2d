/** How a step's error is told, and when the step is tried again: pure but for chance. */
import { GantryError } from '../../../proto/base/errors.ts'
import { backoffDelay } from '../../../proto/base/backoff.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Container } from '../../../proto/gen/types.ts'
import type { PodStep } from '../plan/pod-plan.ts'
import type { Retry } from './contract.ts'

const PULL_RETRY = { first: 2000, max: 60_000 }
const STEP_RETRY = { first: 500, max: 30_000 }

/** What of a step went wrong, where that says more than the error: a container's configuration, or a mount. */
export type Fault = 'configuration' | 'rootfs'

/** `before`: failures in a row before this one. `fault`: what went wrong, where the error does not say. */
export function stepRetry(
  step: PodStep,
  container: Container | undefined,
  thrown: unknown,
  before: number,
  random: Random,
  fault?: Fault,
): Retry {
  const error = GantryError.from(thrown)
  const count = before + 1
  const later = backoffDelay(step.step === 'pull' ? PULL_RETRY : STEP_RETRY, count, random)
  // What the pod refers to is missing: only its coming helps, and that is told.
  const waitsForConfig = error.code === 'NotFound' && (fault === 'configuration' || step.step === 'volumes')
  const reason = reasonOf(step, container, error, count, fault)
  return {
    reason,
    message:
      reason === 'ImagePullBackOff'
        ? `back-off after ${count} tries to pull image "${container?.image ?? ''}": ${error.message}`
        : error.message,
    error: thrown,
    delay: waitsForConfig ? Infinity : later,
  }
}

function reasonOf(
  step: PodStep,
  container: Container | undefined,
  error: GantryError,
  count: number,
  fault: Fault | undefined,
): string {
  switch (step.step) {
    case 'pull':
      if (fault === 'rootfs') return 'CreateContainerError'
      if (isInvalidName(error)) return 'InvalidImageName'
      if (container?.imagePullPolicy === 'Never') return 'ErrImageNeverPull'
      return count === 1 ? 'ErrImagePull' : 'ImagePullBackOff'
    case 'start':
      return fault === 'configuration' ? 'CreateContainerConfigError' : 'CreateContainerError'
    case 'volumes':
      return 'FailedMount'
    case 'resize':
      return 'ResizeError'
    case 'sandbox':
      return 'FailedCreatePodSandBox'
    case 'postStart':
    case 'preStop':
    case 'kill':
    case 'end':
    case 'remove':
    case 'teardown':
    case 'release':
    case 'fail':
      return 'FailedKillPod'
  }
}

function isInvalidName({ code, details }: GantryError): boolean {
  return code === 'InvalidArgument' && details.some(({ field }) => field === 'reference' || field === 'image')
}
