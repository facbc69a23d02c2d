/** Events: what happened to which object. */
import type { Event } from '../../gen/types.ts'
import { ageSince } from '../../objects/columns/age.ts'
import { eventTime } from '../../objects/columns/columns.ts'
import { markEntries, nameEntries, tableEntry } from './metadata.ts'
import { entry, type Entry } from './page.ts'

export function eventEntries(event: Event, now: number): Entry[] {
  const { involvedObject = {} } = event
  return [
    ...nameEntries(event),
    ...markEntries(event),
    entry('Type', event.type ?? ''),
    entry('Reason', event.reason ?? ''),
    entry('Message', event.message ?? ''),
    tableEntry(
      'Involved Object',
      ['Kind', 'Namespace', 'Name'],
      [[involvedObject.kind ?? '', involvedObject.namespace ?? '', involvedObject.name ?? '']],
    ),
    entry('Last Seen', `${ageSince(eventTime(event), now)} ago`),
  ]
}
