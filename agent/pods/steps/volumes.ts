/** A pod's volumes, made or brought up to date. */
import { NOOP, type StepContext, type StepResult } from './contract.ts'
import { downwardApiContext } from './downward-api-context.ts'

export async function prepareVolumes({ deps, state }: StepContext, signal: AbortSignal): Promise<StepResult> {
  const { record, configVersion } = state
  await deps.volumes.prepare(record.pod, deps.objects, downwardApiContext(deps.node, record))
  if (signal.aborted) return NOOP
  return { result: 'done', changes: [{ change: 'mounted', version: configVersion }], write: 'deferred' }
}
