/**
 * Lifecycle hooks of containers. https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
 *
 * That one was begun is written before it runs. A hook that the agent's end cuts short is not run again: it counts as
 * ended.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { delay } from '../../../proto/base/clock.ts'
import type { Container, LifecycleHandler } from '../../../proto/gen/types.ts'
import { handlerTarget } from '../health/handler-target.ts'
import { runningStage } from '../plan/pod-state.ts'
import { done, NOOP, type StepContext, type StepResult } from './contract.ts'

/** The container counts as running once it has ended, and is ended itself where it fails. */
export async function postStart(container: Container, context: StepContext, signal: AbortSignal): Promise<StepResult> {
  const handler = container.lifecycle?.postStart
  const id = runningId(container, context)
  if (id === undefined || handler === undefined) return NOOP
  await context.intend(
    [{ change: 'postStart', id, progress: 'begun' }],
    [{ change: 'postStart', id, progress: undefined }],
  )
  let failure: string | undefined
  try {
    await run(handler, container, id, context, signal)
  } catch (thrown) {
    failure = GantryError.from(thrown).message
  }
  // Cut short because the pod or the agent ends, or the container has.
  if (signal.aborted || runningId(container, context) !== id) return NOOP
  if (failure === undefined) return done({ change: 'postStart', id, progress: 'ended' })
  context.event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${failure}`, container.name)
  const why = 'failed its postStart hook'
  return done({ change: 'unhealthy', id, why, graceSeconds: undefined, at: context.deps.clock.now() })
}

/** SIGTERM follows whether it succeeds or not. */
export async function preStop(container: Container, context: StepContext, signal: AbortSignal): Promise<StepResult> {
  const handler = container.lifecycle?.preStop
  const running = runningStage(context.state.record, container.name)
  if (running?.kill === undefined || handler === undefined) return NOOP
  const { id } = running.instance
  await context.intend([{ change: 'preStop', id, progress: 'begun' }], [{ change: 'preStop', id, progress: undefined }])
  try {
    await run(handler, container, id, context, signal)
  } catch (thrown) {
    if (context.agentStops || runningId(container, context) !== id) return NOOP
    const { message } = GantryError.from(thrown)
    context.event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${message}`, container.name)
  }
  return done({ change: 'preStop', id, progress: 'ended' })
}

function runningId({ name }: Container, { state }: StepContext): string | undefined {
  return runningStage(state.record, name)?.instance.id
}

async function run(
  handler: LifecycleHandler,
  container: Container,
  id: string,
  { deps, state }: StepContext,
  signal: AbortSignal,
): Promise<void> {
  if (handler.sleep !== undefined) await delay(deps.clock, handler.sleep.seconds * 1000, signal)
  else await deps.actions.hook(handler, handlerTarget(deps.node, state.record, container, id), signal)
}
