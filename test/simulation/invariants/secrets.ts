/** What nodes are told: only what their own pods use. */
import type { Pod } from '../../../proto/gen/types.ts'
import type { Invariant } from './invariant.ts'

/**
 * Milliseconds for which a node may still be told of what pods used that are gone by then: a controller's cache follows
 * the store, and what it sends is on its way for a while.
 */
const STALE = 30_000

export const nodesAreToldOnlyWhatTheyUse: Invariant = {
  name: 'no agent sees secrets that its pods do not use',
  make() {
    /** By node and object, until when pods there used it; Infinity: they do. */
    const used = new Map<string, Map<string, number>>()
    return (fact, facts) => {
      if (fact.is === 'committed') {
        for (const [pod, until] of [
          [fact.before, facts.time + STALE],
          [fact.after, Infinity],
        ] as const)
          if (pod?.kind === 'Pod' && pod.spec.nodeName !== undefined) {
            const ofNode = used.get(pod.spec.nodeName) ?? new Map<string, number>()
            used.set(pod.spec.nodeName, ofNode)
            for (const name of referencesOf(pod)) ofNode.set(`${name} ${pod.metadata.uid}`, until)
          }
        return undefined
      }
      if (fact.is !== 'given') return undefined
      const {
        kind,
        metadata: { namespace, name: object },
      } = fact.object
      if (kind !== 'Secret' && kind !== 'ConfigMap') return undefined
      const wanted = `${kind}/${namespace}/${object} `
      for (const [name, until] of used.get(fact.node) ?? [])
        if (name.startsWith(wanted) && until >= facts.time) return undefined
      return `node ${fact.node} was given ${kind} ${namespace}/${object}, which no pod there uses`
    }
  },
}

function referencesOf({ metadata: { namespace }, spec }: Pod): string[] {
  return (spec.volumes ?? []).flatMap(({ secret, configMap, projected }) => [
    ...(secret === undefined ? [] : [`Secret/${namespace}/${secret.secretName}`]),
    ...(configMap === undefined ? [] : [`ConfigMap/${namespace}/${configMap.name}`]),
    ...(projected?.sources ?? []).flatMap((source) => [
      ...(source.secret === undefined ? [] : [`Secret/${namespace}/${source.secret.name}`]),
      ...(source.configMap === undefined ? [] : [`ConfigMap/${namespace}/${source.configMap.name}`]),
    ]),
  ])
}
