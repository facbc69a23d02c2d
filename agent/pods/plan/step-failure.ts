/** How a step's error is told, and when the step is tried again. */
import { GantryError } from '../../../proto/base/errors.ts'
import { backoffDelay } from '../../../proto/base/backoff.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Container } from '../../../proto/gen/types.ts'
import type { StepFailure } from './pod-state.ts'
import type { PodStep } from './pod-plan.ts'

const PULL_RETRY = { first: 2000, max: 60_000 }
const STEP_RETRY = { first: 500, max: 30_000 }

/**
 * Thrown by a start that the container's configuration stands in the way of; any other error of a start is the
 * runtime's.
 */
export class ConfigurationError extends Error {
  override readonly cause: GantryError

  constructor(cause: GantryError) {
    super(cause.message)
    this.name = 'ConfigurationError'
    this.cause = cause
  }
}

/** Thrown by a pull whose image is there and cannot be mounted. */
export class RootFilesystemError extends Error {
  override readonly cause: GantryError

  constructor(cause: GantryError) {
    super(cause.message)
    this.name = 'RootFilesystemError'
    this.cause = cause
  }
}

/** What is remembered of a step that failed; `before` is its failure the last time. */
export function stepFailure(
  step: PodStep,
  container: Container | undefined,
  thrown: unknown,
  before: StepFailure | undefined,
  now: number,
  random: Random,
): StepFailure {
  const count = (before?.count ?? 0) + 1
  const error =
    thrown instanceof ConfigurationError || thrown instanceof RootFilesystemError
      ? thrown.cause
      : GantryError.from(thrown)
  const later = now + backoffDelay(step.step === 'pull' ? PULL_RETRY : STEP_RETRY, count, random)
  // What the pod refers to is missing: only its coming helps, and that is told.
  const waitsForConfig = error.code === 'NotFound' && (thrown instanceof ConfigurationError || step.step === 'volumes')
  const { reason, message } = describeFailure(step, container, thrown, error, count)
  return { reason, message, count, retryAt: waitsForConfig ? Infinity : later }
}

function describeFailure(
  step: PodStep,
  container: Container | undefined,
  thrown: unknown,
  error: GantryError,
  count: number,
): { reason: string; message: string } {
  const { message } = error
  switch (step.step) {
    case 'pull': {
      if (thrown instanceof RootFilesystemError) return { reason: 'CreateContainerError', message }
      if (
        error.code === 'InvalidArgument' &&
        error.details.some((detail) => detail.field === 'reference' || detail.field === 'image')
      )
        return { reason: 'InvalidImageName', message }
      if (container?.imagePullPolicy === 'Never') return { reason: 'ErrImageNeverPull', message }
      return count === 1
        ? { reason: 'ErrImagePull', message }
        : {
            reason: 'ImagePullBackOff',
            message: `back-off after ${count} tries to pull image "${container?.image ?? ''}": ${message}`,
          }
    }
    case 'start':
      return {
        reason: thrown instanceof ConfigurationError ? 'CreateContainerConfigError' : 'CreateContainerError',
        message,
      }
    case 'volumes':
      return { reason: 'FailedMount', message }
    case 'resize':
      return { reason: 'ResizeError', message }
    case 'sandbox':
      return { reason: 'FailedCreatePodSandBox', message }
    case 'postStart':
    case 'preStop':
    case 'kill':
    case 'remove':
    case 'teardown':
    case 'release':
    case 'fail':
      return { reason: 'FailedKillPod', message }
  }
}
