/** How a namespace that is being deleted gets empty. Pure. https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/ */
import { resourceOf } from '../../../proto/api/schema.ts'
import { formatTime } from '../../../proto/api/time.ts'
import type { AnyResource, Kind, Namespace, NamespaceStatus } from '../../../proto/gen/types.ts'
import { NAMESPACE_FINALIZER } from '../../api/admission.ts'
import { withCondition } from '../conditions.ts'

/** What pods that are still ending may need: it goes after them. */
const USED_BY_PODS: ReadonlySet<Kind> = new Set(['ConfigMap', 'Secret', 'ServiceAccount'])

export interface NamespacePlan {
  /** Not being deleted yet, and to be now. */
  readonly remove: readonly AnyResource[]
  readonly status: NamespaceStatus
  /** Nothing is left: the finalizer may go. */
  readonly empty: boolean
}

/** `contents`: everything in the namespace. Undefined for a namespace that is not being deleted, or waits for others only. */
export function planNamespace(namespace: Namespace, contents: readonly AnyResource[], now: number): NamespacePlan | undefined {
  if (namespace.metadata.deletionTimestamp === undefined || namespace.spec.finalizers?.includes(NAMESPACE_FINALIZER) !== true) return undefined
  const remaining = countBy(contents, ({ kind }) => pluralOf(kind))
  const finalizers = countBy(contents.flatMap(({ metadata }) => metadata.finalizers ?? []), (finalizer) => finalizer)
  const set = (conditions: NamespaceStatus['conditions'], type: string, text: string, reasons: [some: string, none: string], none: string): NamespaceStatus['conditions'] =>
    withCondition(conditions, { type, status: text === '' ? 'False' as const : 'True' as const, reason: reasons[text === '' ? 1 : 0], message: text === '' ? none : text, lastTransitionTime: formatTime(now) })
  const podsLeft = contents.some(({ kind }) => kind === 'Pod')
  let { conditions } = namespace.status
  conditions = set(conditions, 'NamespaceContentRemaining', list(remaining, (plural, count) => `${count} ${plural}`, 'Still there: '), ['SomeResourcesRemain', 'ContentRemoved'], 'Everything in it is gone.')
  conditions = set(conditions, 'NamespaceFinalizersRemaining', list(finalizers, (finalizer, count) => `${finalizer} on ${count}`, 'Held by finalizers: '), ['SomeFinalizersRemain', 'ContentHasNoFinalizers'], 'No finalizer holds anything in it.')
  return {
    remove: contents.filter(({ kind, metadata }) => metadata.deletionTimestamp === undefined && !(podsLeft && USED_BY_PODS.has(kind))),
    status: { ...namespace.status, phase: 'Terminating', conditions },
    empty: contents.length === 0,
  }
}

function pluralOf(kind: Kind): string {
  const { plural, group } = resourceOf(kind)
  return group === '' ? plural : `${plural}.${group}`
}

function countBy<T>(items: readonly T[], name: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(name(item), (counts.get(name(item)) ?? 0) + 1)
  return counts
}

function list(counts: ReadonlyMap<string, number>, text: (name: string, count: number) => string, before: string): string {
  if (counts.size === 0) return ''
  return `${before}${[...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => text(name, count)).join(', ')}.`
}
