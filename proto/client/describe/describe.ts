/** The page of any object, with what belongs to it read from the cluster. */
import type { AnyResource, Event } from '../../gen/types.ts'
import { resourceOf } from '../../schema/schema.ts'
import type { ClusterClient } from '../cluster.ts'
import { recordOf } from '../kinds/registry.ts'
import { eventEntry } from './metadata.ts'
import type { Entry } from './page.ts'

export async function describeObject(
  cluster: ClusterClient,
  object: AnyResource,
  showEvents: boolean,
  now: number,
): Promise<Entry[]> {
  const record = recordOf(object.kind)
  const [entries, events] = await Promise.all([
    record.describe(object, { cluster, now }),
    showEvents && record.machinery !== true ? eventsOf(cluster, object) : undefined,
  ])
  return [...entries, ...(events === undefined ? [] : [eventEntry(events, now)])]
}

async function eventsOf(cluster: ClusterClient, { kind, metadata }: AnyResource): Promise<Event[]> {
  const events: Event[] = []
  for await (const event of cluster.events({
    namespace: metadata.namespace,
    kind: resourceOf(kind).kind,
    name: metadata.name,
  })) {
    const uid = event.involvedObject?.uid
    if (uid === undefined || uid === '' || uid === metadata.uid) events.push(event)
  }
  return events
}
