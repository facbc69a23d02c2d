/** The revisions of a deployment: its ReplicaSets by the number that the deployment's reconciler gives them. */
import { compareInt64, parseInt64 } from '../../base/int64.ts'
import { formatLabelSelector } from '../../objects/selector.ts'
import type { Deployment, ReplicaSet } from '../../gen/types.ts'
import type { ClusterClient } from '../cluster.ts'
import { isOwnedBy } from '../../objects/owners.ts'

/** https://kubernetes.io/docs/reference/labels-annotations-taints/ */
const REVISION = 'deployment.kubernetes.io/revision'
const CHANGE_CAUSE = 'kubernetes.io/change-cause'
export const HASH_LABEL = 'pod-template-hash'

/** 0 for one that has no number yet. */
export function revisionOf({ metadata }: Pick<Deployment | ReplicaSet, 'metadata'>): bigint {
  return parseInt64(metadata.annotations?.[REVISION] ?? '') ?? 0n
}

/** '' if nothing was said. */
export function changeCause({ metadata }: ReplicaSet): string {
  return metadata.annotations?.[CHANGE_CAUSE] ?? ''
}

/** Oldest first. */
export async function revisionsOf(cluster: ClusterClient, { metadata, spec }: Deployment): Promise<ReplicaSet[]> {
  const { items } = await cluster.list('ReplicaSet', {
    namespace: metadata.namespace,
    labelSelector: formatLabelSelector(spec.selector),
  })
  const owned = items.filter((replicaSet) => isOwnedBy(replicaSet, metadata.uid))
  return owned.sort((a, b) => compareInt64(revisionOf(a), revisionOf(b)))
}
