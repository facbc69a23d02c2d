/** The image of a container's next instance, found or pulled, and mounted as its root filesystem. */
import { createHash } from 'node:crypto'
import type { Container } from '../../../proto/gen/types.ts'
import type { Image } from '../../images/contract.ts'
import type { Change } from '../plan/changes.ts'
import type { PodStep } from '../plan/pod-plan.ts'
import { containerRecord, nextAttempt } from '../plan/pod-state.ts'
import { NOOP, type StepContext, type StepResult } from './contract.ts'
import { pullCredentials } from './pull-credentials.ts'
import { stepRetry } from './step-retry.ts'

export async function pull(
  step: PodStep,
  container: Container,
  context: StepContext,
  signal: AbortSignal,
): Promise<StepResult> {
  const { deps, uid } = context
  const image = await find(container, context, signal)
  if (signal.aborted) return NOOP
  const attempt = nextAttempt(containerRecord(context.state.record, container.name))
  const id = createHash('sha256')
    .update(`${uid}/${container.name}/${attempt}/${deps.random.next()}`)
    .digest('hex')
    .slice(0, 32)
  const orphaned: Change = { change: 'orphaned', id }
  try {
    const { path: rootfs } = await deps.images.mountRootfs(id, image)
    if (signal.aborted) return { result: 'done', changes: [orphaned], write: 'deferred' }
    const prepared = { id, image, rootfs }
    const changes: Change[] = [{ change: 'prepared', container: container.name, prepared, at: deps.clock.now() }]
    return { result: 'done', changes, write: 'deferred' }
  } catch (thrown) {
    const retry = stepRetry(step, container, thrown, context.failures, deps.random, 'rootfs')
    return { result: 'retry', changes: [orphaned], ...retry }
  }
}

async function find(
  { name, image, imagePullPolicy }: Container,
  context: StepContext,
  signal: AbortSignal,
): Promise<Image> {
  const { deps, state } = context
  const reference = image ?? ''
  const begun = deps.clock.monotonic()
  let pulled = false
  const found = await deps.images.ensure(reference, {
    policy: imagePullPolicy ?? 'IfNotPresent',
    credentials: pullCredentials(state.record.pod, deps.objects),
    signal,
    progress: () => {
      if (!pulled) context.event('Normal', 'Pulling', `pulling image "${reference}"`, name)
      pulled = true
    },
  })
  if (signal.aborted) return found
  const took = Math.round(deps.clock.monotonic() - begun)
  context.event(
    'Normal',
    'Pulled',
    pulled
      ? `pulled image "${reference}" in ${took} ms, ${found.size} bytes`
      : `image "${reference}" is on the node already`,
    name,
  )
  return found
}
