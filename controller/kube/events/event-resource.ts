/**
 * Events as a resource: read from the stream of news, written to it. The stream is not the store: a resourceVersion is a place in the stream, an event
 * that changes is told anew, and the end of one that is deleted is told like a change. After seven days all go by themselves.
 */
import { decodeJson, encodeFields, encodeJson } from '../../../proto/api/codec.ts'
import { GantryError } from '../../../proto/api/errors.ts'
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from '../../../proto/api/patch.ts'
import { apiVersionOf, resourceOf } from '../../../proto/api/schema.ts'
import { parseFieldSelector, parseLabelSelector } from '../../../proto/api/selector.ts'
import { formatTime } from '../../../proto/api/time.ts'
import { encode } from '../../../proto/api/wire.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { randomSuffix, randomUuid, type Random } from '../../../proto/base/random.ts'
import type { Event, JsonObject, JsonValue } from '../../../proto/gen/types.ts'
import { settleNew } from '../../api/admission.ts'
import { isDeletion, type EventQuery, type EventReader } from '../../events/reader.ts'
import { readObject, readTyped, parseJson } from '../body.ts'
import { servedResource } from '../catalog.ts'
import type { Answer, ResourceRequest, ServedResource, Verb, VirtualResource, WatchFrame } from '../contract.ts'
import { parameter } from '../resources/query.ts'
import { ofKind } from '../resources/received.ts'
import { deletionOf } from '../resources/write-options.ts'
import { requirePlace, success } from '../resources/writes.ts'
import type { Sendable } from '../sendable.ts'
import { HttpError } from '../status.ts'
import { coreForm, coreSelector, otherForm } from './forms.ts'

const VERBS: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']
const OTHER = { group: 'events.k8s.io', version: 'v1', message: 'EventsEvent' } as const
const PATCHES = { 'application/strategic-merge-patch+json': 'STRATEGIC', 'application/merge-patch+json': 'MERGE', 'application/json-patch+json': 'JSON' } as const

export interface EventResourceParts {
  readonly events: Pick<EventReader, 'list' | 'follow'>
  readonly publish: (event: Event) => void
  readonly clock: Clock
  readonly random: Random
}

/** The resource in both groups. */
export function eventResources(parts: EventResourceParts): VirtualResource[] {
  const { stored: _stored, ...core } = servedResource(resourceOf('Event'))
  return [{ ...core, verbs: VERBS }, { ...core, ...OTHER, verbs: VERBS }].map((resource) => new EventResource(resource, parts))
}

interface Wanted {
  readonly query: EventQuery
  readonly matches: (event: Event) => boolean
}

class EventResource implements VirtualResource {
  readonly resource: ServedResource
  readonly verbs: VirtualResource['verbs'] = {
    get: async (request) => this.#answer(await this.#find(request)),
    list: (request) => this.#list(request),
    watch: (request) => this.#watch(request),
    create: (request) => this.#create(request),
    update: (request) => this.#update(request),
    patch: (request) => this.#patch(request),
    delete: (request) => this.#delete(request),
    deletecollection: (request) => this.#deleteCollection(request),
  }
  readonly #parts: EventResourceParts

  constructor(resource: ServedResource, parts: EventResourceParts) {
    this.resource = resource
    this.#parts = parts
  }

  async #list(request: ResourceRequest): Promise<Answer> {
    const { query, matches } = wanted(request)
    const { events, after } = await this.#parts.events.list(query, request.signal)
    const items = events.filter(matches).map((event) => this.#sendable(event))
    return { is: 'list', apiVersion: apiVersionOf(this.resource), kind: this.resource.listKind, metadata: { resourceVersion: String(after) }, items }
  }

  async #watch(request: ResourceRequest): Promise<Answer> {
    const selection = wanted(request)
    const from = request.query.get('resourceVersion') ?? ''
    const { events, after } = from === '' || from === '0' ? await this.#parts.events.list(selection.query, request.signal) : { events: [], after: placeOf(from) }
    const seconds = Number(request.query.get('timeoutSeconds') ?? 0)
    return { is: 'watch', frames: this.#frames(events, after, selection, request.signal, seconds) }
  }

  /** What is there, then what comes; ends after `seconds`, if that is not 0. */
  async *#frames(present: readonly Event[], after: number, { query, matches }: Wanted, signal: AbortSignal, seconds: number): AsyncGenerator<WatchFrame, void, undefined> {
    const over = new AbortController()
    const timer = seconds > 0 ? this.#parts.clock.after(seconds * 1000, () => over.abort()) : undefined
    try {
      for (const event of present) if (matches(event)) yield { type: 'ADDED', object: this.#sendable(event) }
      for await (const event of this.#parts.events.follow(query, after, AbortSignal.any([signal, over.signal]))) {
        if (!matches(event)) continue
        const { deletionTimestamp: _deletionTimestamp, ...metadata } = event.metadata
        if (isDeletion(event)) yield { type: 'DELETED', object: this.#sendable({ ...event, metadata }) }
        else yield { type: (event.count ?? 1) > 1 ? 'MODIFIED' : 'ADDED', object: this.#sendable(event) }
      }
    } finally {
      timer?.cancel()
      over.abort()
    }
  }

  async #create(request: ResourceRequest): Promise<Answer> {
    const event = this.#received((await readObject(request, this.resource.message)).value)
    const { random, clock } = this.#parts
    const { namespace } = request.target
    const { name, generateName = '' } = event.metadata
    if (name === '' && generateName === '') throw new GantryError('InvalidArgument', 'an Event needs a name', { details: [{ field: 'metadata.name', message: 'is missing' }] })
    if (event.metadata.namespace !== '' && event.metadata.namespace !== namespace) throw new HttpError(400, 'BadRequest', `the namespace of the object (${event.metadata.namespace}) is not that of the request (${namespace})`)
    event.metadata = { ...event.metadata, namespace, name: name === '' ? `${generateName}${randomSuffix(random)}` : name, uid: randomUuid(random), creationTimestamp: formatTime(clock.now()), deletionTimestamp: undefined, resourceVersion: '' }
    return this.#publish(event, request, 201)
  }

  async #update(request: ResourceRequest): Promise<Answer> {
    const event = this.#received((await readObject(request, this.resource.message)).value)
    const { metadata } = await this.#find(request)
    return this.#publish({ ...event, metadata: { ...metadata, labels: event.metadata.labels, annotations: event.metadata.annotations } }, request, 200)
  }

  async #patch(request: ResourceRequest): Promise<Answer> {
    const { type, bytes } = await readTyped(request, Object.keys(PATCHES))
    const patch = parseJson(bytes).value
    const stored = await this.#find(request)
    const event = this.#received(patched(PATCHES[type as keyof typeof PATCHES], this.#json(stored), patch))
    return this.#publish({ ...event, metadata: stored.metadata }, request, 200)
  }

  async #delete(request: ResourceRequest): Promise<Answer> {
    const { options: { uid, resourceVersion }, context } = await deletionOf(request)
    const event = await this.#find(request)
    for (const [field, wanted, is] of [['uid', uid, event.metadata.uid], ['resourceVersion', resourceVersion, event.metadata.resourceVersion]] as const) {
      if (wanted !== undefined && wanted !== is) throw new GantryError('Conflict', `the ${field} of the event is ${is}, not ${wanted}`, { details: [{ field: 'preconditions', value: wanted, message: `is not its ${field}` }] })
    }
    if (context.dryRun !== true) this.#end(event)
    return success(event, this.resource)
  }

  async #deleteCollection(request: ResourceRequest): Promise<Answer> {
    requirePlace(request)
    const { context } = await deletionOf(request)
    const { query, matches } = wanted(request)
    const { events, after } = await this.#parts.events.list(query, request.signal)
    const doomed = events.filter(matches)
    if (context.dryRun !== true) for (const event of doomed) this.#end(event)
    return { is: 'list', apiVersion: apiVersionOf(this.resource), kind: this.resource.listKind, metadata: { resourceVersion: String(after) }, items: doomed.map((event) => this.#sendable(event)) }
  }

  #end(event: Event): void {
    this.#parts.publish({ ...event, metadata: { ...event.metadata, deletionTimestamp: formatTime(this.#parts.clock.now()) } })
  }

  /** InvalidArgument with every problem. */
  async #publish(event: Event, request: ResourceRequest, code: number): Promise<Answer> {
    settleNew<'Event'>(event)
    if (request.query.get('dryRun') === null) this.#parts.publish(event)
    return { ...this.#answer(event), code }
  }

  /** NotFound; Unavailable while the news cannot be read. */
  async #find({ target: { namespace, name }, signal }: ResourceRequest): Promise<Event> {
    const { events } = await this.#parts.events.list({ namespace }, signal)
    const found = events.findLast(({ metadata }) => metadata.name === name)
    if (found === undefined) throw new GantryError('NotFound', `Event ${namespace}/${name} not found`, { details: [{ field: 'metadata.name', value: name, message: 'there is no such event' }] })
    return found
  }

  #received(json: JsonObject): Event {
    const event = ofKind(json, this.resource)
    return decodeJson('Event', this.resource.group === '' ? event : coreForm(event))
  }

  #json(event: Event): JsonObject {
    if (this.resource.group === '') return encodeJson(event)
    return { apiVersion: 'events.k8s.io/v1', kind: 'Event', ...encodeFields(OTHER.message, otherForm(event)) }
  }

  #answer(event: Event): Answer & { is: 'object' } {
    return { is: 'object', object: this.#sendable(event) }
  }

  #sendable(event: Event): Sendable {
    const { group } = this.resource
    return {
      apiVersion: group === '' ? 'v1' : 'events.k8s.io/v1',
      kind: 'Event',
      object: event,
      json: () => Buffer.from(JSON.stringify(this.#json(event))),
      protobuf: () => (group === '' ? encode('Event', event) : encode(OTHER.message, otherForm(event))),
    }
  }
}

/** What a list or watch asks for; what names the object concerned is asked of the stream itself. */
function wanted({ target: { namespace }, query }: ResourceRequest): Wanted {
  const fields = parameter(() => parseFieldSelector(coreSelector(query.get('fieldSelector') ?? ''), 'Event'))
  const labels = parameter(() => parseLabelSelector(query.get('labelSelector') ?? ''))
  const about = { kind: fields.exact('involvedObject.kind'), name: fields.exact('involvedObject.name') }
  // A stream's subject says of which namespace the object is, which for cluster-scoped ones is `default`.
  return {
    query: { ...namespace !== '' && { namespace }, ...about.kind !== undefined && { kind: about.kind }, ...about.name !== undefined && { name: about.name } },
    matches: (event) => (namespace === '' || event.metadata.namespace === namespace) && fields.matches(event) && labels.matches(event.metadata.labels),
  }
}

function placeOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new HttpError(400, 'BadRequest', `"${text}" is not a resourceVersion`)
}

function patched(type: 'STRATEGIC' | 'MERGE' | 'JSON', target: JsonObject, patch: JsonValue): JsonObject {
  switch (type) {
    case 'STRATEGIC': return applyStrategicPatch('Event', target, patch) as JsonObject
    case 'MERGE': return applyMergePatch(target, patch) as JsonObject
    case 'JSON': return applyJsonPatch(target, patch) as JsonObject
  }
}
