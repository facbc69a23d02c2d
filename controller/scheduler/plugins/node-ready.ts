import type { NodeView, FilterPlugin } from '../framework.ts'

/** The node says that it can run pods: its condition Ready is True. */
export const nodeReady: FilterPlugin = {
  name: 'NodeReady',
  helpedBy: ['node-added', 'node-changed'],
  prepareFilter: () => ({ node }: NodeView) => {
    const ready = node.status.conditions?.find(({ type }) => type === 'Ready')
    if (ready?.status === 'True') return undefined
    const said = [ready?.reason, ready?.message].filter((text) => text !== undefined && text !== '').join(': ')
    return { reason: 'not ready', detail: ready === undefined ? 'has not said yet that it is ready' : `Ready is ${ready.status}${said === '' ? '' : ` (${said})`}` }
  },
}
