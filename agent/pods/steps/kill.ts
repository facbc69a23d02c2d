/** The ending of a running instance, begun or sharpened. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Change } from '../plan/changes.ts'
import type { PodStep } from '../plan/pod-plan.ts'
import { containerOf, containerRecord, imageChanged, runningStage } from '../plan/pod-state.ts'
import { lostTermination } from '../plan/termination.ts'
import type { PodRecord } from '../../state/contract.ts'
import { done, NOOP, type StepContext, type StepResult } from './contract.ts'
import { stepRetry } from './step-retry.ts'

type KillStep = Extract<PodStep, { step: 'kill' }>

export async function kill(step: KillStep, context: StepContext): Promise<StepResult> {
  const { deps } = context
  const running = runningStage(context.state.record, step.container)
  if (running === undefined) return NOOP
  const { instance, kill: before } = running
  const { id } = instance
  const takeBack: Change = { change: 'kill', id, kill: before }
  await context.intend([{ change: 'kill', id, kill: step.kill }], [takeBack])
  if (before === undefined) {
    const why = reasonOf(step, context.state.record)
    context.event('Normal', 'Killing', `stopping container ${step.container}: ${why}`, step.container)
  }
  if (step.silent || step.kill.sent === 'NOTHING') return done()
  const polite = instance.stopSignal === '' ? 'SIGTERM' : instance.stopSignal
  try {
    await deps.runtime.killContainer(id, step.kill.sent === 'KILL' ? 'SIGKILL' : polite)
    return done()
  } catch (thrown) {
    const present = runningStage(context.state.record, step.container)
    // It has ended meanwhile.
    if (present?.instance.id !== id) return NOOP
    const at = deps.clock.now()
    // Somebody else removed it: there is no end to wait for.
    if (GantryError.is(thrown, 'NotFound'))
      return done({ change: 'ended', end: lostTermination(present, instance, at), at })
    // What was not sent is sent again.
    const retry = stepRetry(step, undefined, thrown, context.failures, deps.random)
    return { result: 'retry', changes: [takeBack], ...retry }
  }
}

function reasonOf({ kill: { reason }, container: name }: KillStep, record: PodRecord): string {
  if (reason !== 'changed') return record.failed?.message ?? 'the pod is being deleted'
  return imageChanged(containerOf(record, name), containerRecord(record, name))
    ? 'its image changed'
    : 'its resources changed'
}
