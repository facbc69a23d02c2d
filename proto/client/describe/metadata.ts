/** What descriptions of all kinds have in common: the beginning, conditions, and the events at the end. */
import type { AnyResource, Event } from '../../gen/types.ts'
import { eventAge, eventSource } from '../../objects/columns/columns.ts'
import { finalizerHold } from '../finalizer-hold.ts'
import { LAST_APPLIED } from '../manifests/last-applied.ts'
import { entry, mapValue, table, type Entry } from './page.ts'
import { controllerOf } from '../../objects/owners.ts'

export function nameEntries({ metadata }: AnyResource): Entry[] {
  return [entry('Name', metadata.name), ...(metadata.namespace === '' ? [] : [entry('Namespace', metadata.namespace)])]
}

/**
 * Without what `kubectl apply` keeps of the configuration that it applied last: it repeats the object, and of a Secret
 * the values as well.
 */
function shownAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
): Record<string, string> | undefined {
  if (annotations === undefined) return undefined
  const { [LAST_APPLIED]: _, ...shown } = annotations
  return Object.keys(shown).length === 0 ? undefined : shown
}

export function markEntries({ metadata }: AnyResource): Entry[] {
  return [
    entry('Labels', mapValue(metadata.labels)),
    entry('Annotations', mapValue(shownAnnotations(metadata.annotations), ': ')),
  ]
}

/** Deletion that is under way, and what holds it. */
export function deletionEntries(object: AnyResource): Entry[] {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers = [] } = object.metadata
  if (deletionTimestamp === undefined) return []
  return [
    entry(
      'Deletion',
      `ends by ${deletionTimestamp}${deletionGracePeriodSeconds === undefined ? '' : ` (grace ${deletionGracePeriodSeconds}s)`}`,
    ),
    ...(finalizers.length === 0 ? [] : [entry('Held by', finalizerHold(object) ?? finalizers.join(', '))]),
  ]
}

export function controllerEntries(object: AnyResource): Entry[] {
  const owner = controllerOf(object)
  return owner === undefined ? [] : [entry('Controlled By', `${owner.kind}/${owner.name}`)]
}

/** A table below a label. */
export function tableEntry(label: string, header: readonly string[], rows: readonly (readonly string[])[]): Entry {
  if (rows.length === 0) return entry(label, '<none>')
  const rule = header.map((word) => '-'.repeat(word.length))
  return entry(label, table([header, rule, ...rows]))
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string | undefined
  readonly message?: string | undefined
}

export function conditionEntry(conditions: readonly Condition[] | undefined): Entry {
  return tableEntry(
    'Conditions',
    ['Type', 'Status', 'Reason', 'Message'],
    (conditions ?? []).map(({ type, status, reason = '', message = '' }) => [type, status, reason, message]),
  )
}

export function eventEntry(events: readonly Event[], now: number): Entry {
  return tableEntry(
    'Events',
    ['Type', 'Reason', 'Age', 'From', 'Message'],
    events.map((event) => [
      event.type ?? '',
      event.reason ?? '',
      eventAge(event, now),
      eventSource(event),
      (event.message ?? '').trim().replace(/\s*\n\s*/g, ' '),
    ]),
  )
}
