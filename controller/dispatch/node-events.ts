/** Events as nodes may tell them: about pods that they have, or have had, and about what every node serves. Pure. */
import { createHash } from 'node:crypto'
import type { AnyResource, Event, Kind } from '../../proto/gen/types.ts'

/** Kinds of objects that nodes serve, whoever's they are: each says what it cannot. */
const SERVED: ReadonlySet<string> = new Set<Kind>(['Service', 'Ingress', 'Gateway', 'HTTPRoute'])

/** Characters of a message at most. */
const LONGEST_MESSAGE = 4096

/**
 * The event with what the control plane says of it put in place of what the node does; undefined for one about what is not the node's. A pod that
 * is gone may still be told of: news of its end come late. The same event told again, counted up, keeps its uid, and no other node's has it.
 */
export function acceptEvent(event: Event, node: string, objectOf: (kind: Kind, namespace: string, name: string) => AnyResource | undefined): Event | undefined {
  const { metadata: { name, namespace, creationTimestamp }, involvedObject, source, message } = event
  if (involvedObject?.namespace !== namespace) return undefined
  const { kind = '', apiVersion = 'v1' } = involvedObject
  const object = kind === 'Pod' || SERVED.has(kind) ? objectOf(kind as Kind, namespace, involvedObject.name ?? '') : undefined
  if (object !== undefined && object.metadata.uid !== involvedObject.uid) return undefined
  if (kind === 'Pod' ? object?.kind === 'Pod' && object.spec.nodeName !== node : object?.apiVersion !== apiVersion) return undefined
  return {
    ...event,
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace, creationTimestamp, uid: eventUid(node, namespace, name), resourceVersion: '' },
    message: message?.slice(0, LONGEST_MESSAGE),
    source: { ...source, host: node },
    reportingInstance: node,
  }
}

function eventUid(node: string, namespace: string, name: string): string {
  const digits = createHash('sha256').update(JSON.stringify([node, namespace, name])).digest('hex')
  return [[0, 8], [8, 12], [12, 16], [16, 20], [20, 32]].map(([from, to]) => digits.slice(from, to)).join('-')
}
