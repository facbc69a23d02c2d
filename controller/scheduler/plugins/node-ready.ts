import { readyCondition } from '../../../proto/objects/node.ts'
import { healthOf } from '../../nodehealth/health.ts'
import type { NodeInfo, FilterPlugin, FilterRejection } from '../framework.ts'

/** The node is heard from and says that it can run pods: its condition Ready is True. */
export const nodeReady: FilterPlugin = {
  name: 'NodeReady',
  eventsToRegister: ['node-added', 'node-changed'],
  filtersByNodeObject: true,
  sign: () => '',
  prepareFilter:
    () =>
    ({ node }: NodeInfo): FilterRejection | undefined => {
      const health = healthOf(node)
      switch (health.is) {
        case 'ready':
          return undefined
        case 'suspect':
          return { reason: 'suspect', detail: `is suspect: no sign of life since ${health.since}` }
        case 'lost':
          return { reason: 'lost', detail: `is lost: no sign of life since ${health.since}` }
        case 'unknown': {
          const ready = readyCondition(node)
          const said = [ready?.reason, ready?.message].filter((text) => text !== undefined && text !== '').join(': ')
          return {
            reason: 'not ready',
            detail:
              ready === undefined
                ? 'has not said yet that it is ready'
                : `Ready is ${ready.status}${said === '' ? '' : ` (${said})`}`,
          }
        }
      }
    },
}
