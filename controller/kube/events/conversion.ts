/**
 * Events in the words of both groups: core/v1, as they are kept, and events.k8s.io/v1, which names some fields
 * otherwise.
 * https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
 */
import type { Event, EventsEvent, JsonObject } from '../../../proto/gen/types.ts'

/** The core group's name of a field → that of events.k8s.io. All others have one name. */
const RENAMED: Readonly<Record<string, string>> = {
  involvedObject: 'regarding',
  message: 'note',
  reportingComponent: 'reportingController',
  source: 'deprecatedSource',
  firstTimestamp: 'deprecatedFirstTimestamp',
  lastTimestamp: 'deprecatedLastTimestamp',
  count: 'deprecatedCount',
}
const CORE_NAMES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(RENAMED).map(([core, other]) => [other, core]),
)
const EVENTS_V1 = 'events.k8s.io/v1'

function renamed(fields: object, names: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [Object.hasOwn(names, name) ? names[name]! : name, value]),
  )
}

/** As events.k8s.io tells it. */
export function toEventsV1(event: Event): EventsEvent {
  return { ...renamed(event, RENAMED), apiVersion: EVENTS_V1 } as unknown as EventsEvent
}

/** The JSON of an event of events.k8s.io in the words of the core group. */
export function toCoreV1(json: JsonObject): JsonObject {
  return { ...renamed(json, CORE_NAMES), apiVersion: 'v1' } as JsonObject
}

/** A field selector in the words of either group, in those of the core group: `source` alone is the component. */
export function toCoreSelector(selector: string): string {
  return selector
    .split(',')
    .map((requirement) => {
      const [, path, rest] = /^([\w.]*)(.*)$/s.exec(requirement)!
      if (path === 'source') return `source.component${rest}`
      const [first = '', ...more] = path!.split('.')
      return [Object.hasOwn(CORE_NAMES, first) ? CORE_NAMES[first]! : first, ...more].join('.') + rest!
    })
    .join(',')
}
