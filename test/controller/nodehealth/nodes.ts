/** Nodes in each state of health, for tests. */
import { NODE_LOST, NODE_SUSPECT } from '../../../controller/nodehealth/health.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { Node, NodeCondition, Taint } from '../../../proto/gen/types.ts'
import { metadata } from '../objects.ts'

export type State = 'ready' | 'suspect' | 'lost' | 'never'

/** `since`: milliseconds since 1970 at which it was last heard from. */
export function readyCondition(state: Exclude<State, 'never'>, since: number): NodeCondition {
  const time = formatTime(since)
  if (state === 'ready')
    return { type: 'Ready', status: 'True', reason: 'SessionOpen', lastHeartbeatTime: time, lastTransitionTime: time }
  return {
    type: 'Ready',
    status: 'Unknown',
    reason: state === 'lost' ? NODE_LOST : NODE_SUSPECT,
    message: `no sign of life since ${time}`,
    lastHeartbeatTime: time,
    lastTransitionTime: time,
  }
}

export function node(
  name: string,
  state: State,
  since: number,
  more: { taints?: Taint[]; annotations?: Record<string, string>; conditions?: NodeCondition[] } = {},
): Node {
  const { taints, annotations, conditions = [] } = more
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: metadata(name, {
      namespace: '',
      annotations: { 'gantry.dev/session': `session-${name}`, 'gantry.dev/controller': 'c1', ...annotations },
    }),
    spec: { ...(taints !== undefined && { taints }) },
    status: { conditions: [...(state === 'never' ? [] : [readyCondition(state, since)]), ...conditions] },
  }
}

/** "+NoSchedule +NoExecute": which unreachable taints it has. */
export function unreachable({ spec }: Node): string[] {
  return (spec.taints ?? [])
    .filter(({ key }) => key === 'node.kubernetes.io/unreachable')
    .map(({ effect }) => effect!)
    .sort()
}
