/** A node's labels: what its agent states and what users put there, kept apart by who owns each field. Pure. */
import type { JsonObject, ObjectMeta } from '../../proto/gen/types.ts'

type Labels = Readonly<Record<string, string>>

/**
 * What the machine is: the agent's word holds, whoever wrote another.
 * https://kubernetes.io/docs/reference/labels-annotations-taints/
 */
const AGENT_MANAGED_LABELS: ReadonlySet<string> = new Set([
  'kubernetes.io/arch',
  'kubernetes.io/hostname',
  'kubernetes.io/os',
])

/** Keys of the labels that a manager wrote last. */
function ownedLabels({ managedFields }: ObjectMeta, manager: string): Set<string> {
  const owned = new Set<string>()
  for (const entry of managedFields ?? []) {
    if (entry.manager !== manager) continue
    const labels = (entry.fieldsV1 as { 'f:metadata'?: { 'f:labels'?: JsonObject } } | undefined)?.['f:metadata']?.[
      'f:labels'
    ]
    for (const field of Object.keys(labels ?? {})) if (field.startsWith('f:')) owned.add(field.slice(2))
  }
  return owned
}

/**
 * The labels to store. A label that the agent (`manager`, on its behalf) put there and states no more goes; one that
 * somebody else put there or changed stays as it is.
 */
export function mergeLabels(stored: ObjectMeta, stated: Labels, manager: string): Record<string, string> {
  const owned = ownedLabels(stored, manager)
  const kept = Object.entries(stored.labels ?? {}).filter(([key]) => !owned.has(key) || Object.hasOwn(stated, key))
  const labels = Object.fromEntries(kept)
  for (const [key, value] of Object.entries(stated)) {
    if (!Object.hasOwn(labels, key) || owned.has(key) || AGENT_MANAGED_LABELS.has(key)) labels[key] = value
  }
  return labels
}
