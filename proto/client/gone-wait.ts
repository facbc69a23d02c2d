/** Waits until objects that are being deleted are gone. */
import { withDeadline } from '../base/deadline.ts'
import { parseTime } from '../base/time.ts'
import type { AnyResource } from '../gen/types.ts'
import { formatAge } from '../objects/columns/age.ts'
import type { ClusterClient } from './cluster.ts'
import { observe } from './follow.ts'
import { kindWord } from './kind-words.ts'
import { recordOf } from './kinds/registry.ts'
import type { WaitOptions } from './ready-wait.ts'

/**
 * Resolves when none of these objects is there any more; another of the same name does not count. DeadlineExceeded,
 * with what each still waits for, after the timeout; 0 waits for ever.
 */
export async function awaitGone(
  cluster: ClusterClient,
  objects: readonly AnyResource[],
  { clock, signal, timeout, onWaiting }: WaitOptions,
): Promise<void> {
  const open = new Map<AnyResource, string>()
  const missing = (): string => `not gone after ${formatAge(timeout)}: ${[...open.values()].join('; ')}`
  await withDeadline(clock, timeout > 0 ? timeout : undefined, signal, missing, async (limited) => {
    await Promise.all(
      objects.map(async (object) => {
        const { kind, metadata } = object
        open.set(object, holdOf(object, clock.now()))
        for await (const state of observe(cluster, clock, kind, metadata.namespace, metadata.name, limited)) {
          if (state === undefined || state.metadata.uid !== metadata.uid) break
          open.set(object, holdOf(state, clock.now()))
          onWaiting?.([...open.values()], open.size)
        }
        open.delete(object)
      }),
    )
  })
}

/** What the deletion of an object waits for, and until when. */
function holdOf({ kind, metadata }: AnyResource, now: number): string {
  const { name, finalizers = [], deletionTimestamp } = metadata
  const left = deletionTimestamp === undefined ? 0 : parseTime(deletionTimestamp) - now
  const reasons = [
    ...(left > 0 ? [`its grace ends in ${formatAge(left)}`] : []),
    ...(finalizers.length > 0 ? [`finalizers ${finalizers.join(', ')}`] : []),
  ]
  const unsaid = recordOf(kind).deletionWaitsFor?.(name) ?? 'the control plane'
  return `${kindWord(kind)}/${name} waits for ${reasons.length === 0 ? unsaid : reasons.join(' and ')}`
}
