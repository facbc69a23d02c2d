/**
 * How a namespace that is being deleted gets empty: its pods go first, since they may need anything else that is in it,
 * then the rest. Pure.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
 */
import { resourceOf } from '../../../proto/schema/schema.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { AnyResource, Kind, Namespace, NamespaceStatus } from '../../../proto/gen/types.ts'
import { NAMESPACE_FINALIZER } from '../../kinds/namespace.ts'
import { withCondition } from '../../../proto/objects/conditions.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'

/** Reasons and messages of conditions are those of Kubernetes: tools look for them. */
interface Aspect {
  readonly type: string
  readonly wellReason: string
  readonly wellMessage: string
  readonly badReason: string
}

const DISCOVERY: Aspect = {
  type: 'NamespaceDeletionDiscoveryFailure',
  wellReason: 'ResourcesDiscovered',
  wellMessage: 'All resources successfully discovered',
  badReason: 'DiscoveryFailed',
}
const PARSING: Aspect = {
  type: 'NamespaceDeletionGroupVersionParsingFailure',
  wellReason: 'ParsedGroupVersions',
  wellMessage: 'All legacy kube types successfully parsed',
  badReason: 'GroupVersionParsingFailed',
}
const DELETION: Aspect = {
  type: 'NamespaceDeletionContentFailure',
  wellReason: 'ContentDeleted',
  wellMessage: 'All content successfully deleted, may be waiting on finalization',
  badReason: 'ContentDeletionFailed',
}
const CONTENT: Aspect = {
  type: 'NamespaceContentRemaining',
  wellReason: 'ContentRemoved',
  wellMessage: 'All content successfully removed',
  badReason: 'SomeResourcesRemain',
}
const FINALIZERS: Aspect = {
  type: 'NamespaceFinalizersRemaining',
  wellReason: 'ContentHasNoFinalizers',
  wellMessage: 'All content-preserving finalizers finished',
  badReason: 'SomeFinalizersRemain',
}
/** Failures told one by one; of more, how many there are. */
const MAX_LISTED_FAILURES = 5

export interface NamespacePlan {
  /** Not being deleted yet, and to be now. */
  readonly remove: readonly AnyResource[]
  /** The status to be written once that was tried; `failures`: why deletions failed, one text for each that did. */
  status(failures: readonly string[]): NamespaceStatus
  /** Nothing is left: the finalizer may go. */
  readonly empty: boolean
}

/**
 * `contents`: everything in the namespace. Undefined for a namespace that is not being deleted, or waits for others
 * only.
 */
export function planNamespace(
  namespace: Namespace,
  contents: readonly AnyResource[],
  now: number,
): NamespacePlan | undefined {
  if (!isDeleting(namespace) || namespace.spec.finalizers?.includes(NAMESPACE_FINALIZER) !== true) return undefined
  const pods = contents.filter(({ kind }) => kind === 'Pod')
  const turn = pods.length > 0 ? pods : contents
  return {
    remove: turn.filter((object) => !isDeleting(object)),
    status: (failures) => ({
      ...namespace.status,
      phase: 'Terminating',
      conditions: conditionsOf(namespace.status.conditions, contents, failures, now),
    }),
    empty: contents.length === 0,
  }
}

function conditionsOf(
  before: NamespaceStatus['conditions'],
  contents: readonly AnyResource[],
  failures: readonly string[],
  now: number,
): NamespaceStatus['conditions'] {
  const remaining = list(
    countBy(contents, ({ kind }) => resourceName(kind)),
    (resource, count) => `${resource} has ${count} resource instances`,
  )
  const finalizers = list(
    countBy(
      contents.flatMap(({ metadata }) => metadata.finalizers ?? []),
      (finalizer) => finalizer,
    ),
    (finalizer, count) => `${finalizer} in ${count} resource instances`,
  )
  const aspects: readonly (readonly [aspect: Aspect, bad: string])[] = [
    [DISCOVERY, ''],
    [PARSING, ''],
    [
      DELETION,
      failures.length === 0
        ? ''
        : `Failed to delete all resource types, ${failures.length} remaining: ${summarizeFailures(failures)}`,
    ],
    [CONTENT, remaining === '' ? '' : `Some resources are remaining: ${remaining}`],
    [FINALIZERS, finalizers === '' ? '' : `Some content in the namespace has finalizers remaining: ${finalizers}`],
  ]
  return aspects.reduce(
    (conditions, [{ type, wellReason, wellMessage, badReason }, bad]) =>
      withCondition(conditions, {
        type,
        lastTransitionTime: formatTime(now),
        ...(bad === ''
          ? { status: 'False' as const, reason: wellReason, message: wellMessage }
          : { status: 'True' as const, reason: badReason, message: bad }),
      }),
    before,
  )
}

function summarizeFailures(failures: readonly string[]): string {
  const some = failures.toSorted().slice(0, MAX_LISTED_FAILURES).join(', ')
  return failures.length <= MAX_LISTED_FAILURES ? some : `${some}, and ${failures.length - MAX_LISTED_FAILURES} more`
}

/** "pods.", "deployments.apps": with a dot even where there is no group, as Kubernetes writes it. */
function resourceName(kind: Kind): string {
  const { plural, group } = resourceOf(kind)
  return `${plural}.${group}`
}

function countBy<T>(items: readonly T[], name: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(name(item), (counts.get(name(item)) ?? 0) + 1)
  return counts
}

function list(counts: ReadonlyMap<string, number>, text: (name: string, count: number) => string): string {
  return [...counts]
    .map(([name, count]) => text(name, count))
    .sort()
    .join(', ')
}
