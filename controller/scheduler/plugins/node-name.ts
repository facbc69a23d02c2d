import type { FilterPlugin, NodeInfo } from '../framework.ts'

/**
 * A pod that names its node goes there. Such pods are bound already; it matters where placing is asked for all the
 * same.
 */
export const nodeName: FilterPlugin = {
  name: 'NodeName',
  eventsToRegister: ['node-added'],
  filtersByNodeObject: true,
  sign: ({ spec: { nodeName: asked = '' } }) => asked,
  prepareFilter: ({ spec: { nodeName: asked = '' } }) =>
    asked === ''
      ? undefined
      : ({ name }: NodeInfo) =>
          name === asked ? undefined : { reason: 'not the node asked for', detail: `the pod asks for node ${asked}` },
}
