/** Carries out the steps of a pod's plan. Each may be repeated: what is done already is not done again. */
import { allContainers } from '../../../proto/objects/containers.ts'
import { containerOf } from '../plan/pod-state.ts'
import type { PodStep } from '../plan/pod-plan.ts'
import { done, type StepContext, type StepResult } from './contract.ts'
import { readTermination } from './exit.ts'
import { postStart, preStop } from './hooks.ts'
import { kill } from './kill.ts'
import { pull } from './pull.ts'
import { resize } from './resize.ts'
import { makeSandbox, teardown } from './sandbox.ts'
import { start } from './start.ts'
import { stepRetry } from './step-retry.ts'
import { prepareVolumes } from './volumes.ts'

/** Never rejects. Aborted: it ends soon, and what it answers says only what it has done. */
export async function runStep(step: PodStep, context: StepContext, signal: AbortSignal): Promise<StepResult> {
  try {
    return await act(step, context, signal)
  } catch (thrown) {
    const container =
      'container' in step
        ? allContainers(context.state.record.pod).find(({ name }) => name === step.container)
        : undefined
    return { result: 'retry', ...stepRetry(step, container, thrown, context.failures, context.deps.random) }
  }
}

async function act(step: PodStep, context: StepContext, signal: AbortSignal): Promise<StepResult> {
  const { deps, uid, state } = context
  switch (step.step) {
    case 'volumes':
      return prepareVolumes(context, signal)
    case 'sandbox':
      return makeSandbox(context, signal)
    case 'resize':
      return resize(step, context)
    case 'pull':
      return pull(step, containerOf(state.record, step.container), context, signal)
    case 'start':
      return start(step, containerOf(state.record, step.container), context, signal)
    case 'postStart':
      return postStart(containerOf(state.record, step.container), context, signal)
    case 'preStop':
      return preStop(containerOf(state.record, step.container), context, signal)
    case 'kill':
      return kill(step, context)
    case 'end':
      return readTermination(step.container, context)
    case 'remove':
      await deps.runtime.removeContainer(step.id)
      await deps.images.removeRootfs(step.id)
      return done({ change: 'removed', id: step.id })
    case 'fail':
      return { result: 'fatal', reason: step.reason, message: step.message }
    case 'teardown':
      return teardown(context)
    case 'release':
      await deps.disk.removeLogs(uid)
      return done({ change: 'released' })
  }
}
