import type { Node } from '../../gen/types.ts'
import { readyCondition } from '../../objects/node.ts'
import type { KindRecord } from './kind-record.ts'
import { ready, waiting, wordOf, type Readiness } from './readiness.ts'

export const node: KindRecord<'Node'> = {
  readiness: nodeReadiness,
  async describe(object, { cluster, now }) {
    const [{ nodeEntries }, { items }] = await Promise.all([
      import('../describe/node.ts'),
      cluster.list('Pod', { namespace: '', fieldSelector: `spec.nodeName=${object.metadata.name}` }),
    ])
    return nodeEntries(object, items, now)
  },
  applyOrder: 1,
}

/** A node's conditions have no observedGeneration: its agent reports them again and again. */
function nodeReadiness(object: Node): Readiness {
  const condition = readyCondition(object)
  return condition?.status === 'True'
    ? ready(`${wordOf(object)} is ready`)
    : waiting(`${wordOf(object)}: ${condition?.message ?? condition?.reason ?? 'not seen yet'}`)
}
