/** Events as nodes may tell them: about pods that they have, or have had, and about what every node serves. */
import { createHash } from 'node:crypto'
import { formats } from '../../proto/base/format.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Event, Kind, ObjectReference, Pod } from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'
import { NodeRateLimiter } from './node-rate-limiter.ts'

/** Kinds of objects that nodes serve, whoever's they are: each says what it cannot. */
const NODE_SERVED_KINDS: ReadonlySet<string> = new Set<Kind>(['Service', 'Ingress', 'Gateway', 'HTTPRoute'])

/** Characters of a message at most. */
const LONGEST_MESSAGE = 4096
/** Characters of a reason and of the names of components at most, as in Kubernetes. */
const LONGEST_WORD = 128
/** Pods that are remembered after they have gone. */
const MAX_DELETED_PODS = 10_000
/** An agent that was cut off has up to a thousand events waiting. */
const EVENTS = { atOnce: 2000, perSecond: 50 }
/** Events about pods of which it is not known any more whose they were. */
const UNKNOWN_PODS = { atOnce: 100, perSecond: 1 }

export type EventVerdict =
  | { readonly is: 'accepted'; readonly event: Event }
  | { readonly is: 'refused'; readonly why: string }

export class NodeEventFilter {
  readonly #informer: Informer
  readonly #all: NodeRateLimiter
  readonly #unknown: NodeRateLimiter
  /** Of pods that are gone, the node that each was on, by uid; the one that has been gone for longest first. */
  readonly #gone = new Map<string, string | undefined>()

  constructor({ informer, clock }: { readonly informer: Informer; readonly clock: Clock }) {
    this.#informer = informer
    this.#all = new NodeRateLimiter(EVENTS, clock)
    this.#unknown = new NodeRateLimiter(UNKNOWN_PODS, clock)
  }

  /** A pod is gone. News of its end come late. */
  podDeleted({ metadata: { uid }, spec: { nodeName } }: Pod): void {
    this.#gone.set(uid, nodeName)
    if (this.#gone.size > MAX_DELETED_PODS) this.#gone.delete(this.#gone.keys().next().value!)
  }

  /** A node is no more. */
  forget(node: string): void {
    this.#all.forget(node)
    this.#unknown.forget(node)
  }

  /**
   * The event with what the control plane says of it put in place of what the node does. The same event told again,
   * counted up, keeps its uid, and no other node's has it.
   */
  admit(event: Event, node: string): EventVerdict {
    const why =
      formFlaw(event) ?? (this.#all.take(node) ? this.#foreign(event, node) : 'tells more events than a node may')
    return why === undefined ? { is: 'accepted', event: written(event, node) } : { is: 'refused', why }
  }

  /** Why the object is not the node's to tell about. */
  #foreign({ type, involvedObject = {} }: Event, node: string): string | undefined {
    const { kind = '', apiVersion = 'v1', namespace = '', name = '', uid = '' } = involvedObject
    if (kind === 'Pod')
      return apiVersion === 'v1'
        ? this.#foreignPod({ namespace, name, uid }, node)
        : `tells an event about a Pod of ${apiVersion}`
    if (!NODE_SERVED_KINDS.has(kind)) return 'tells an event about what is neither a pod nor served by nodes'
    const object = this.#informer.lister(kind as Kind).get(namespace, name)
    if (object?.metadata.uid !== uid || object.apiVersion !== apiVersion)
      return `tells an event about a ${kind} that there is not`
    return type === 'Warning' ? undefined : `tells an event about a ${kind} that is no warning`
  }

  #foreignPod(
    { namespace, name, uid }: { readonly namespace: string; readonly name: string; readonly uid: string },
    node: string,
  ): string | undefined {
    const object = this.#informer.byUid(uid)
    if (object !== undefined) {
      const own =
        object.kind === 'Pod' &&
        object.spec.nodeName === node &&
        object.metadata.namespace === namespace &&
        object.metadata.name === name
      return own ? undefined : 'tells an event about a pod that is not its own'
    }
    if (this.#gone.has(uid))
      return this.#gone.get(uid) === node ? undefined : 'tells an event about a pod that was not its own'
    // Who reads events of the other pod, which is there, looks for them by its name.
    const present = this.#informer.lister('Pod').get(namespace, name)?.spec.nodeName
    if (present !== undefined && present !== node) return 'tells an event about a pod that is not its own'
    return this.#unknown.take(node) ? undefined : 'tells many events about pods that there are not'
  }
}

/** What would not pass for an event about its object, whoever told it. */
function formFlaw({ metadata, involvedObject = {}, type, reason = '' }: Event): string | undefined {
  const { namespace = '', name = '', uid = '', fieldPath = '' } = involvedObject
  const suffix = metadata.name.startsWith(`${name}.`) ? metadata.name.slice(name.length + 1) : ''
  if (
    namespace !== metadata.namespace ||
    formats.dnsLabel(namespace) !== undefined ||
    formats.dnsSubdomain(name) !== undefined
  )
    return "tells an event of no object's name"
  // Another object's event of the same name would be taken for it.
  if (!/^[a-z0-9]{1,32}$/.test(suffix)) return 'tells an event that is not called after its object'
  const words = [reason, uid, fieldPath].some(
    (word) => formats.line(word) !== undefined || word.length > LONGEST_WORD * 4,
  )
  return words || reason.length > LONGEST_WORD || (type !== 'Normal' && type !== 'Warning')
    ? 'tells an event that is not of the form of one'
    : undefined
}

/** Of what a node says of an event only what events of nodes have. */
function written(
  {
    metadata: { name, namespace, creationTimestamp },
    involvedObject = {},
    reason,
    type,
    message,
    count,
    firstTimestamp,
    lastTimestamp,
    eventTime,
    source,
    reportingComponent,
  }: Event,
  node: string,
): Event {
  const { kind, apiVersion, namespace: of, name: called, uid, resourceVersion, fieldPath } = involvedObject
  const about: ObjectReference = {
    kind,
    apiVersion,
    namespace: of,
    name: called,
    uid,
    resourceVersion: word(resourceVersion),
    fieldPath,
  }
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace, creationTimestamp, uid: eventUid(node, namespace, name), resourceVersion: '' },
    involvedObject: about,
    reason,
    type,
    count,
    firstTimestamp,
    lastTimestamp,
    eventTime,
    message: message?.slice(0, LONGEST_MESSAGE),
    source: { component: word(source?.component), host: node },
    reportingComponent: word(reportingComponent),
    reportingInstance: node,
  }
}

function word(text: string | undefined): string | undefined {
  return text === undefined || formats.line(text) !== undefined ? undefined : text.slice(0, LONGEST_WORD)
}

function eventUid(node: string, namespace: string, name: string): string {
  const digits = createHash('sha256')
    .update(JSON.stringify([node, namespace, name]))
    .digest('hex')
  return [
    [0, 8],
    [8, 12],
    [12, 16],
    [16, 20],
    [20, 32],
  ]
    .map(([from, to]) => digits.slice(from, to))
    .join('-')
}
