/** Namespaces: whether one ends, and what holds it. */
import type { Namespace } from '../../gen/types.ts'
import { conditionEntry, deletionEntries, markEntries, nameEntries } from './metadata.ts'
import { entry, type Entry } from './page.ts'

export function namespaceEntries(namespace: Namespace): Entry[] {
  const { conditions } = namespace.status
  return [
    ...nameEntries(namespace),
    ...markEntries(namespace),
    entry('Status', namespace.status.phase ?? 'Active'),
    ...deletionEntries(namespace),
    ...(conditions === undefined ? [] : [conditionEntry(conditions)]),
  ]
}
