/** The input that nodes are for all that is reached at their addresses. */
import { ENTRANCE_LABEL } from '../../../proto/objects/ingress/classes.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Node } from '../../../proto/gen/types.ts'
import { input, type Input } from '../runner.ts'

/** The keys, whenever a node comes, goes, or changes in a way that the entrance's addresses may depend on. */
export function entranceNodesInput(keys: () => Iterable<string>): Input {
  return input('Node', ({ type, cached, previous }) =>
    type === 'modified' && previous !== undefined && sameJson(matterOf(cached.object), matterOf(previous.object))
      ? []
      : keys(),
  )
}

function matterOf({ metadata, status }: Node): unknown {
  const ready = status.conditions?.find(({ type }) => type === 'Ready')?.status ?? ''
  return [
    metadata.labels?.[ENTRANCE_LABEL] ?? '',
    metadata.deletionTimestamp ?? '',
    ready,
    (status.addresses ?? []).map(({ type = '', address = '' }) => `${type} ${address}`),
  ]
}
