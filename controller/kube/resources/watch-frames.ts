/** What a watcher is told, as this face sends it. */
import { apiVersionOf } from '../../../proto/schema/schema.ts'
import type { AnyResource } from '../../../proto/gen/types.ts'
import type { ObjectEvent } from '../../requests/watch-event.ts'
import type { ServedResource, WatchFrame } from '../contract.ts'
import { encodableCached, encodableMessage, encodableResource } from '../encodable-object.ts'
import { statusOf } from '../status.ts'

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'

/** Objects as `served` shows them; an error is a Status, and the last frame. */
export function watchFrame(event: ObjectEvent, served: ServedResource): WatchFrame {
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type: event.type, object: encodableCached(event.cached, served) }
    case 'BOOKMARK':
      return bookmarkFrame(event, served)
    case 'ERROR': {
      const { body } = statusOf(event.error)
      return { type: 'ERROR', object: encodableMessage('Status', body) }
    }
  }
}

/** One event is told to all who watch: it is made, and encoded, once for each resource. */
const bookmarks = new WeakMap<ObjectEvent, Map<ServedResource, WatchFrame>>()

function bookmarkFrame(event: ObjectEvent & { type: 'BOOKMARK' }, served: ServedResource): WatchFrame {
  let frames = bookmarks.get(event)
  if (frames === undefined) bookmarks.set(event, (frames = new Map()))
  let frame = frames.get(served)
  if (frame === undefined) frames.set(served, (frame = { type: 'BOOKMARK', object: revisionOnly(event, served) }))
  return frame
}

/** An object that says nothing but how far the watch is. */
function revisionOnly(
  { revision, initial }: ObjectEvent & { type: 'BOOKMARK' },
  served: ServedResource,
): WatchFrame['object'] {
  const annotations = initial ? { [INITIAL_EVENTS_END]: 'true' } : undefined
  const object = {
    apiVersion: apiVersionOf(served),
    kind: served.stored!,
    metadata: { name: '', namespace: '', uid: '', resourceVersion: String(revision), annotations },
  } as AnyResource
  return encodableResource(object, served)
}
