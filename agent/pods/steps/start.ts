/** A container's next instance, created and started. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container } from '../../../proto/gen/types.ts'
import type { ContainerSpec, ContainerState } from '../../runtime/contract.ts'
import type { Instance } from '../../state/contract.ts'
import type { InstanceChange } from '../plan/changes.ts'
import type { PodStep } from '../plan/pod-plan.ts'
import { containerRecord, nextAttempt, type PreparedContainer } from '../plan/pod-state.ts'
import { allocatedResourcesOf } from '../plan/resize.ts'
import { startFailureCode, startTermination } from '../plan/termination.ts'
import { ConfigurationError, specOf } from './container-setup.ts'
import { done, type StepContext, type StepResult } from './contract.ts'
import { stepRetry } from './step-retry.ts'

/**
 * A command that cannot be run, and a start that the runtime refuses, are no failures of the step but ends of the
 * instance; any other failure leaves no instance.
 */
export async function start(
  step: PodStep,
  container: Container,
  context: StepContext,
  signal: AbortSignal,
): Promise<StepResult> {
  const { name } = container
  const { record, preparedContainers } = context.state
  const prepared = preparedContainers.get(name)!
  const attempt = nextAttempt(containerRecord(record, name))
  const resources = allocatedResourcesOf(record, container)
  let spec: ContainerSpec
  try {
    spec = await specOf({ ...container, resources }, prepared, attempt, context)
  } catch (thrown) {
    if (!(thrown instanceof ConfigurationError)) throw thrown
    const { failures, deps } = context
    return { result: 'retry', ...stepRetry(step, container, thrown.cause, failures, deps.random, 'configuration') }
  }
  // Whatever stopped the pod meanwhile left what is prepared to the start under way.
  if (signal.aborted) return done({ change: 'unprepared', container: name })
  const { id, image } = prepared
  const instance = newInstance(prepared, attempt, container)
  const used = { name: container.image ?? '', reference: image.reference, digest: image.digest }
  await context.intend(
    [{ change: 'creating', container: name, instance, image: used, resources }],
    [{ change: 'abandoned', id }],
  )
  return createAndStart(step, container, instance, spec, context)
}

async function createAndStart(
  step: PodStep,
  container: Container,
  instance: Instance,
  spec: ContainerSpec,
  context: StepContext,
): Promise<StepResult> {
  const { deps } = context
  const { id } = instance
  const { name } = container
  try {
    await deps.runtime.createContainer(spec)
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (startFailureCode(error) !== undefined) return done(...startFailed(container, instance, error, context))
    const retry = stepRetry(step, container, error, context.failures, deps.random)
    return { result: 'retry', changes: [{ change: 'abandoned', id }], ...retry }
  }
  context.event('Normal', 'Created', `created container ${name}`, name)
  const created: InstanceChange = { change: 'created', id, at: deps.clock.now() }
  try {
    const state = await deps.runtime.startContainer(id)
    context.event('Normal', 'Started', `started container ${name}`, name)
    // The runtime knows that it runs, and the next start of the agent asks it.
    return { result: 'done', changes: [created, startedAs(id, state, deps.clock.now())], write: 'background' }
  } catch (thrown) {
    return done(created, ...startFailed(container, instance, GantryError.from(thrown), context))
  }
}

/** An end that is told while the start is under way stands. */
function startedAs(id: string, state: ContainerState, at: number): InstanceChange {
  switch (state.state) {
    case 'created':
      return { change: 'created', id, at }
    case 'running':
      return { change: 'running', id, pid: state.pid, startedAt: state.startedAt, at }
    case 'exited':
      return { change: 'exited', id, exit: state }
  }
}

function startFailed(
  { name }: Container,
  instance: Instance,
  error: GantryError,
  context: StepContext,
): InstanceChange[] {
  context.event('Warning', 'Failed', `container ${name} cannot start: ${error.message}`, name)
  const at = context.deps.clock.now()
  return [{ change: 'ended', end: startTermination(instance, error, at), at }]
}

function newInstance({ id, image }: PreparedContainer, attempt: number, { lifecycle }: Container): Instance {
  return { id, attempt, stopSignal: lifecycle?.stopSignal ?? image.config.stopSignal }
}
