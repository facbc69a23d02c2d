/** What is being deleted, has ended, and is there only because finalizers hold it. */
import { isTerminal } from '../objects/pod.ts'
import { parseTime } from '../base/time.ts'
import type { AnyResource, Pod } from '../gen/types.ts'

/**
 * "finalizer example.com/keep, since 2026-01-01T00:00:00Z"; undefined if no finalizer holds the object, or something
 * else holds it as well, such as processes.
 */
export function finalizerHold(object: AnyResource): string | undefined {
  const { deletionTimestamp, finalizers = [] } = object.metadata
  if (deletionTimestamp === undefined || finalizers.length === 0 || (object.kind === 'Pod' && !isGone(object)))
    return undefined
  const since = object.kind === 'Pod' ? endedAt(object, deletionTimestamp) : deletionTimestamp
  return `${finalizers.length === 1 ? 'finalizer' : 'finalizers'} ${finalizers.join(', ')}, since ${since}`
}

/** Nothing of it runs any more, or its node no longer has it. */
function isGone(pod: Pod): boolean {
  return (pod.metadata.deletionGracePeriodSeconds ?? 0) === 0 || isTerminal(pod)
}

/**
 * When the last container ended, if that was within the grace; otherwise when the grace ended, which for a pod that had
 * ended before is when it was deleted.
 */
function endedAt({ spec, status }: Pod, deletionTimestamp: string): string {
  const ends = parseTime(deletionTimestamp)
  const last = (status.containerStatuses ?? [])
    .flatMap(({ state }) => state?.terminated?.finishedAt ?? [])
    .sort()
    .at(-1)
  if (last === undefined) return deletionTimestamp
  const at = parseTime(last)
  return at <= ends && at >= ends - spec.terminationGracePeriodSeconds * 1000 ? last : deletionTimestamp
}
