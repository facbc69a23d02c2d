/**
 * Which names a CustomResourceDefinition has, and whether its kind is served. Pure.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
 */
import { resources } from '../../../proto/schema/schema.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionStatus,
} from '../../../proto/gen/types.ts'
import { findCondition, withCondition } from '../../../proto/objects/conditions.ts'

/** A name that somebody else has, and in which word of the names. */
interface Conflict {
  readonly reason: string
  readonly message: string
}

/** `others`: every other definition. Names once accepted stay until others are. */
export function planDefinition(
  definition: CustomResourceDefinition,
  others: readonly CustomResourceDefinition[],
  now: number,
): CustomResourceDefinitionStatus {
  const { spec, status } = definition
  const { names, conflicts } = acceptNames(spec.names, status.acceptedNames, takenIn(spec.group, others))
  const lastTransitionTime = formatTime(now)
  const [conflict] = conflicts
  let { conditions } = status
  conditions = withCondition(
    conditions,
    conflict === undefined
      ? {
          type: 'NamesAccepted',
          status: 'True',
          reason: 'NoConflicts',
          message: 'no conflicts found',
          lastTransitionTime,
        }
      : {
          type: 'NamesAccepted',
          status: 'False',
          reason: conflict.reason,
          message: conflicts.map(({ message }) => message).join(', '),
          lastTransitionTime,
        },
  )
  if (findCondition(conditions, 'Established')?.status !== 'True') {
    conditions = withCondition(
      conditions,
      conflict === undefined
        ? {
            type: 'Established',
            status: 'True',
            reason: 'InitialNamesAccepted',
            message: 'the initial names have been accepted',
            lastTransitionTime,
          }
        : {
            type: 'Established',
            status: 'False',
            reason: 'NotAccepted',
            message: 'not all names are accepted',
            lastTransitionTime,
          },
    )
  }
  const stored = spec.versions.find(({ storage }) => storage)?.name
  const storedVersions = status.storedVersions ?? []
  return {
    ...status,
    conditions,
    acceptedNames: names,
    storedVersions:
      stored === undefined || storedVersions.includes(stored) ? storedVersions : [...storedVersions, stored],
  }
}

interface Taken {
  /** Plural, singular and short names. */
  readonly words: ReadonlySet<string>
  /** Kinds, and kinds of lists. */
  readonly kinds: ReadonlySet<string>
}

/** What others of a group are called, the kinds of the program itself among them. */
function takenIn(group: string, others: readonly CustomResourceDefinition[]): Taken {
  const own = resources.filter((resource) => resource.group === group)
  const names = others.filter(({ spec }) => spec.group === group).flatMap(({ status }) => status.acceptedNames ?? [])
  return {
    words: new Set(
      [
        ...own.flatMap(({ plural, kind, shortNames }) => [plural, kind.toLowerCase(), ...shortNames]),
        ...names.flatMap(({ plural, singular, shortNames = [] }) => [plural, singular ?? '', ...shortNames]),
      ].filter(Boolean),
    ),
    kinds: new Set(
      [
        ...own.flatMap(({ kind }) => [kind, `${kind}List`]),
        ...names.flatMap(({ kind, listKind }) => [kind, listKind ?? '']),
      ].filter(Boolean),
    ),
  }
}

function acceptNames(
  wanted: CustomResourceDefinitionNames,
  accepted: CustomResourceDefinitionNames | undefined,
  { words, kinds }: Taken,
): { names: CustomResourceDefinitionNames; conflicts: Conflict[] } {
  const conflicts: Conflict[] = []
  const names = { ...accepted } as CustomResourceDefinitionNames
  const free = (value: string, taken: ReadonlySet<string>, reason: string): boolean => {
    if (!taken.has(value)) return true
    conflicts.push({ reason, message: `"${value}" is already in use` })
    return false
  }
  if (free(wanted.plural, words, 'PluralConflict')) names.plural = wanted.plural
  if (wanted.singular === undefined || free(wanted.singular, words, 'SingularConflict'))
    names.singular = wanted.singular
  if ((wanted.shortNames ?? []).every((name) => free(name, words, 'ShortNamesConflict')))
    names.shortNames = wanted.shortNames
  if (free(wanted.kind, kinds, 'KindConflict')) names.kind = wanted.kind
  if (wanted.listKind === undefined || free(wanted.listKind, kinds, 'ListKindConflict'))
    names.listKind = wanted.listKind
  names.categories = wanted.categories
  return { names, conflicts }
}

/** What is said of a definition while the objects of its kind are deleted. */
export function terminating(
  status: CustomResourceDefinitionStatus,
  left: number,
  failure: string | undefined,
  now: number,
): CustomResourceDefinitionStatus {
  const [reason, message] =
    failure !== undefined
      ? ['InstanceDeletionFailed', failure]
      : left > 0
        ? ['InstanceDeletionInProgress', `CustomResource deletion is in progress: ${left} left`]
        : ['InstanceDeletionCompleted', 'removed all instances']
  return {
    ...status,
    conditions: withCondition(status.conditions, {
      type: 'Terminating',
      status: left > 0 ? 'True' : 'False',
      reason,
      message,
      lastTransitionTime: formatTime(now),
    }),
  }
}
