/** The input that nodes are for all that is reached at their addresses. */
import { INGRESS_NODE_LABEL } from '../../../proto/objects/ingress/classes.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import type { Node } from '../../../proto/gen/types.ts'
import { watchSource, type WatchSource } from '../../runner/runner.ts'

/** The keys, whenever a node comes, goes, or changes in a way that the addresses of Ingresses may depend on. */
export function ingressNodesWatch(keys: () => Iterable<string>): WatchSource {
  return watchSource('Node', ({ type, cached, previous }) =>
    type === 'modified' && previous !== undefined && sameJson(matterOf(cached.object), matterOf(previous.object))
      ? []
      : keys(),
  )
}

function matterOf({ metadata, status }: Node): unknown {
  const ready = findCondition(status.conditions, 'Ready')?.status ?? ''
  return [
    metadata.labels?.[INGRESS_NODE_LABEL] ?? '',
    metadata.deletionTimestamp ?? '',
    ready,
    (status.addresses ?? []).map(({ type = '', address = '' }) => `${type} ${address}`),
  ]
}
