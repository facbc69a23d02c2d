/** What is to be learned of an instance that has ended, before its end is put on record. */
import type { Container } from '../../../proto/gen/types.ts'
import { allContainers } from '../../../proto/objects/containers.ts'
import type { ExitedState, Instance } from '../../state/contract.ts'
import { containerRecord } from '../plan/pod-state.ts'
import { exitTermination } from '../plan/termination.ts'
import { done, NOOP, type StepContext, type StepResult } from './contract.ts'

export async function readTermination(name: string, context: StepContext): Promise<StepResult> {
  const { deps, state } = context
  const { stage } = containerRecord(state.record, name)
  if (stage.stage !== 'exited') return NOOP
  const { instance, exit } = stage
  const container = allContainers(state.record.pod).find((other) => other.name === name)
  const written = container === undefined ? '' : await message(container, instance, exit, context)
  const said = exit.oomKilled ? await outOfMemory(name, container, instance, written, context) : written
  return done({ change: 'ended', end: exitTermination(instance, exit, said), at: deps.clock.now() })
}

async function message(
  container: Container,
  { attempt }: Instance,
  exit: ExitedState,
  context: StepContext,
): Promise<string> {
  const { deps, uid } = context
  const read = (): Promise<string> => deps.disk.terminationMessage(uid, container, attempt, exit)
  return (await learned('the termination message', container.name, read, context)) ?? ''
}

async function outOfMemory(
  name: string,
  container: Container | undefined,
  { id }: Instance,
  written: string,
  context: StepContext,
): Promise<string> {
  const peak = (await learned('the memory', name, () => context.deps.runtime.stats(id), context))?.memoryPeak ?? 0
  const limit = container?.resources.limits?.memory ?? 'none'
  const most = peak === 0 ? '' : `, peak ${Math.ceil(peak / 1024)}Ki`
  const said = `killed by the kernel, out of memory: limit ${limit}${most}`
  context.event('Warning', 'OOMKilled', `container ${name} ${said}`, name)
  return written === '' ? said : `${said}\n${written}`
}

/** The end is put on record whatever is not to be learned of it: nobody tells of it again. */
async function learned<T>(
  what: string,
  container: string,
  learn: () => Promise<T>,
  { deps, uid }: StepContext,
): Promise<T | undefined> {
  try {
    return await learn()
  } catch (error) {
    deps.log.warn({ pod: uid, container, error }, `${what} of a container that has ended cannot be read`)
    return undefined
  }
}
