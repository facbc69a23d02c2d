/**
 * Events as a resource: read from the stream of news, written to it. The stream is not the store: a resourceVersion is
 * a place in the stream, an event that changes is told anew, and the end of one that is deleted is told like a change.
 * After seven days all go by themselves.
 */
import { decodeJson, encodeFields, encodeJson } from '../../../proto/codec/codec.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from '../../../proto/merge/patch.ts'
import { apiVersionOf, resourceOf } from '../../../proto/schema/schema.ts'
import { parseFieldSelector, parseLabelSelector } from '../../../proto/objects/selector.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { encode, encodeResource } from '../../../proto/codec/wire.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { randomSuffix, randomUuid, type Random } from '../../../proto/base/random.ts'
import type { Event, JsonObject, JsonValue, Kind } from '../../../proto/gen/types.ts'
import { finalizeCreate } from '../../api/admission.ts'
import { isDeletion, type EventQuery, type NamedEvent } from '../../events/contract.ts'
import { plain } from '../../kinds/strategy.ts'
import type { Backends } from '../../requests/backends.ts'
import { readObject, readTyped, parseJson } from '../body.ts'
import { servedResource } from '../catalog.ts'
import type {
  Answer,
  ResourceRequest,
  ServedResource,
  Verb,
  VirtualResource,
  WatchFrame,
  EncodableObject,
} from '../contract.ts'
import { parameter } from '../resources/query.ts'
import { ofKind } from '../resources/request-object.ts'
import { deletionOf } from '../resources/write-options.ts'
import { requirePlace, success } from '../resources/writes.ts'
import { HttpError } from '../status.ts'
import { continueRangeOf, page } from './continue-range.ts'
import { toCoreV1, toCoreSelector, toEventsV1 } from './conversion.ts'

/** Tries of one write that meets others. */
const ATTEMPTS = 10
/**
 * Bytes of an event that a client writes. All namespaces share the stream, and what is told last pushes out what was
 * told first.
 */
const LARGEST = 16 * 1024
const VERBS: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']
const EVENTS_V1_RESOURCE = { group: 'events.k8s.io', version: 'v1', message: 'EventsEvent' } as const
const PATCHES = {
  'application/strategic-merge-patch+json': 'STRATEGIC',
  'application/merge-patch+json': 'MERGE',
  'application/json-patch+json': 'JSON',
} as const

export interface EventResourceParts {
  readonly clock: Clock
  readonly random: Random
}

/** The resource in both groups. */
export function eventResources(parts: EventResourceParts): VirtualResource[] {
  const { stored: _stored, ...core } = servedResource(resourceOf('Event'))
  return [
    { ...core, verbs: VERBS },
    { ...core, ...EVENTS_V1_RESOURCE, verbs: VERBS },
  ].map((resource) => new EventResource(resource, parts))
}

interface EventSelection {
  readonly query: EventQuery
  readonly matches: (event: Event) => boolean
}

class EventResource implements VirtualResource {
  readonly resource: ServedResource
  readonly verbs: VirtualResource['verbs'] = {
    get: async (request) => this.#answer(await this.#get(request)),
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
    const chunk = continueRangeOf(request.query)
    const { events, after } = await eventsOf(request).list(query, request.signal)
    const { items, metadata } = page(events.filter(matches), after, chunk)
    return {
      is: 'list',
      apiVersion: apiVersionOf(this.resource),
      kind: this.resource.listKind,
      metadata,
      items: items.map((event) => this.#sendable(event)),
    }
  }

  async #watch(request: ResourceRequest): Promise<Answer> {
    const selection = wanted(request)
    const from = request.query.get('resourceVersion') ?? ''
    const { events, after } =
      from === '' || from === '0'
        ? await eventsOf(request).list(selection.query, request.signal)
        : { events: [], after: placeOf(from) }
    const seconds = Number(request.query.get('timeoutSeconds') ?? 0)
    return { is: 'watch', frames: this.#frames(request, events, after, selection, seconds) }
  }

  /** What is there, then what comes; ends after `seconds`, if that is not 0. */
  async *#frames(
    request: ResourceRequest,
    present: readonly Event[],
    after: number,
    { query, matches }: EventSelection,
    seconds: number,
  ): AsyncGenerator<WatchFrame, void, undefined> {
    const over = new AbortController()
    const timer = seconds > 0 ? this.#parts.clock.after(seconds * 1000, () => over.abort()) : undefined
    try {
      const known = new Set<string>()
      for (const event of present) {
        known.add(event.metadata.uid)
        if (matches(event)) yield { type: 'ADDED', object: this.#sendable(event) }
      }
      const ended = AbortSignal.any([request.signal, over.signal])
      for await (const event of eventsOf(request).follow(query, after, ended)) {
        if (!matches(event)) continue
        const { deletionTimestamp: _deletionTimestamp, ...metadata } = event.metadata
        if (isDeletion(event)) yield { type: 'DELETED', object: this.#sendable({ ...event, metadata }) }
        else
          yield {
            type: known.has(event.metadata.uid) || hasRepeated(event) ? 'MODIFIED' : 'ADDED',
            object: this.#sendable(event),
          }
        known.add(event.metadata.uid)
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
    if (name === '' && generateName === '')
      throw new GantryError('InvalidArgument', 'an Event needs a name', {
        details: [
          { field: 'metadata.name', message: 'name or generateName is required', reason: 'FieldValueRequired' },
        ],
      })
    if (event.metadata.namespace !== '' && event.metadata.namespace !== namespace)
      throw new HttpError(
        400,
        'BadRequest',
        `the namespace of the object (${event.metadata.namespace}) is not that of the request (${namespace})`,
      )
    event.metadata = {
      ...event.metadata,
      namespace,
      name: name === '' ? `${generateName}${randomSuffix(random)}` : name,
      uid: randomUuid(random),
      creationTimestamp: formatTime(clock.now()),
      deletionTimestamp: undefined,
      resourceVersion: '',
    }
    finalizeCreate<'Event'>(event, plain)
    requireSmall(event)
    return { ...this.#answer(await this.#make(event, request)), code: 201 }
  }

  /** AlreadyExists. While NATS is away nobody can tell: the event waits to be published. */
  async #make(event: Event, request: ResourceRequest): Promise<Event> {
    const { namedEvents: named, publish } = request.authorized.backends
    const { namespace, name } = event.metadata
    const isDry = request.query.get('dryRun') !== null
    if (!named.available) {
      if (!isDry) publish(event)
      return event
    }
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { event: existing, revision } = await this.#kept(request, name, event.involvedObject)
      if (existing !== undefined) {
        const details = [
          {
            field: 'metadata.name',
            value: name,
            message: 'is taken',
            remedy: 'choose another name, or patch the event that is there',
          },
        ]
        throw new GantryError('AlreadyExists', `Event ${namespace}/${name} already exists`, { details })
      }
      const written = isDry ? event : await this.#put(request, event, revision)
      if (written !== undefined) return written
    }
    throw contended(event)
  }

  async #update(request: ResourceRequest): Promise<Answer> {
    const event = this.#received((await readObject(request, this.resource.message)).value)
    return this.#change(request, () => event)
  }

  async #patch(request: ResourceRequest): Promise<Answer> {
    const { type, bytes } = await readTyped(request, Object.keys(PATCHES))
    const patch = parseJson(bytes).value
    const shape = this.resource.group === '' ? 'Event' : EVENTS_V1_RESOURCE.message
    return this.#change(request, (stored) =>
      this.#received(patched(PATCHES[type as keyof typeof PATCHES], shape as Kind, this.#json(stored), patch)),
    )
  }

  /**
   * Writes what a change makes of the event; from its newest state again if somebody else was faster. NotFound;
   * Conflict.
   */
  async #change(request: ResourceRequest, change: (stored: Event) => Event): Promise<Answer> {
    const { namespace, name } = request.target
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { event: stored, revision } = await this.#kept(request, name)
      if (stored === undefined) throw notFound(namespace, name)
      const {
        metadata: { labels, annotations },
        ...content
      } = change(stored)
      const next = { ...content, metadata: { ...stored.metadata, labels, annotations } } as Event
      finalizeCreate<'Event'>(next, plain)
      requireSmall(next)
      const written = request.query.get('dryRun') === null ? await this.#put(request, next, revision) : next
      if (written !== undefined) return this.#answer(written)
    }
    throw contended({ metadata: { namespace, name } })
  }

  async #delete(request: ResourceRequest): Promise<Answer> {
    const {
      options: { uid, resourceVersion },
      context,
    } = await deletionOf(request)
    const event = await this.#get(request)
    for (const [field, wanted, is] of [
      ['uid', uid, event.metadata.uid],
      ['resourceVersion', resourceVersion, event.metadata.resourceVersion],
    ] as const) {
      if (wanted !== undefined && wanted !== is)
        throw new GantryError('Conflict', `the ${field} of the event is ${is}, not ${wanted}`, {
          details: [{ field: 'preconditions', value: wanted, message: `is not its ${field}` }],
        })
    }
    if (context.dryRun !== true) await this.#end(request, event)
    return success(event, this.resource)
  }

  async #deleteCollection(request: ResourceRequest): Promise<Answer> {
    requirePlace(request)
    const { context } = await deletionOf(request)
    const { query, matches } = wanted(request)
    const { events, after } = await eventsOf(request).list(query, request.signal)
    const doomed = events.filter(matches)
    if (context.dryRun !== true) for (const event of doomed) await this.#end(request, event)
    return {
      is: 'list',
      apiVersion: apiVersionOf(this.resource),
      kind: this.resource.listKind,
      metadata: { resourceVersion: String(after) },
      items: doomed.map((event) => this.#sendable(event)),
    }
  }

  async #end({ authorized, signal }: ResourceRequest, event: Event): Promise<void> {
    const { clock } = this.#parts
    const { namedEvents: named } = authorized.backends
    const ended = { ...event, metadata: { ...event.metadata, deletionTimestamp: formatTime(clock.now()) } }
    const { namespace, name } = event.metadata
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { revision } = await named.find(namespace, name, signal)
      if ((await named.put(ended, revision, signal)) !== undefined) return
    }
    throw contended(event)
  }

  /** The event as it was told, undefined if somebody wrote it since `revision`. */
  async #put({ authorized, signal }: ResourceRequest, event: Event, revision: number): Promise<Event | undefined> {
    const place = await authorized.backends.namedEvents.put(event, revision, signal)
    return place === undefined
      ? undefined
      : { ...event, metadata: { ...event.metadata, resourceVersion: String(place) } }
  }

  /**
   * What is there under a name. An event that no client has written is looked for in the stream, where those about the
   * same object are found faster, if it is known which that is.
   */
  async #kept(request: ResourceRequest, name: string, about?: Event['involvedObject']): Promise<NamedEvent> {
    const {
      target: { namespace },
      signal,
      authorized,
    } = request
    const kept = await authorized.backends.namedEvents.find(namespace, name, signal)
    if (kept.event !== undefined || kept.revision > 0) return kept
    const { events } = await eventsOf(request).list(
      {
        namespace,
        ...(about?.kind !== undefined && { kind: about.kind }),
        ...(about?.name !== undefined && { name: about.name }),
      },
      signal,
    )
    return { event: events.findLast(({ metadata }) => metadata.name === name), revision: 0 }
  }

  /** The event with its place in the stream. NotFound; Unavailable while the news cannot be read. */
  async #get(request: ResourceRequest): Promise<Event> {
    const { namespace, name } = request.target
    const { event } = await this.#kept(request, name)
    if (event === undefined) throw notFound(namespace, name)
    if (event.metadata.resourceVersion !== '') return event
    const { kind = '', name: about = '' } = event.involvedObject ?? {}
    const { events } = await eventsOf(request).list({ namespace, kind, name: about }, request.signal)
    return events.findLast(({ metadata }) => metadata.name === name) ?? event
  }

  #received(json: JsonObject): Event {
    const event = ofKind(json, this.resource)
    return decodeJson('Event', this.resource.group === '' ? event : toCoreV1(event))
  }

  #json(event: Event): JsonObject {
    if (this.resource.group === '') return encodeJson(event)
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      ...encodeFields(EVENTS_V1_RESOURCE.message, toEventsV1(event)),
    }
  }

  #answer(event: Event): Answer & { is: 'object' } {
    return { is: 'object', object: this.#sendable(event) }
  }

  #sendable(event: Event): EncodableObject {
    const { group } = this.resource
    return {
      apiVersion: group === '' ? 'v1' : 'events.k8s.io/v1',
      kind: 'Event',
      object: event,
      json: () => Buffer.from(JSON.stringify(this.#json(event))),
      protobuf: () => (group === '' ? encode('Event', event) : encode(EVENTS_V1_RESOURCE.message, toEventsV1(event))),
    }
  }
}

function eventsOf({ authorized }: ResourceRequest): Backends['events'] {
  return authorized.backends.events
}

/** What a list or watch asks for; what names the object concerned is asked of the stream itself. */
function wanted({ target: { namespace }, query }: ResourceRequest): EventSelection {
  const fields = parameter(() => parseFieldSelector(toCoreSelector(query.get('fieldSelector') ?? ''), 'Event'))
  const labels = parameter(() => parseLabelSelector(query.get('labelSelector') ?? ''))
  const about = { kind: fields.exact('involvedObject.kind'), name: fields.exact('involvedObject.name') }
  // A stream's subject says of which namespace the object is, which for cluster-scoped ones is `default`.
  return {
    query: {
      ...(namespace !== '' && { namespace }),
      ...(about.kind !== undefined && { kind: about.kind }),
      ...(about.name !== undefined && { name: about.name }),
    },
    matches: (event) =>
      (namespace === '' || event.metadata.namespace === namespace) &&
      fields.matches(event) &&
      labels.matches(event.metadata.labels),
  }
}

function requireSmall(event: Event): void {
  const { length } = encodeResource(event)
  if (length <= LARGEST) return
  const { namespace, name } = event.metadata
  throw new HttpError(
    413,
    'RequestEntityTooLarge',
    `Event ${namespace}/${name} takes ${length} bytes, the limit is ${LARGEST}: tell it in fewer words`,
    'ResourceExhausted',
  )
}

function notFound(namespace: string, name: string): GantryError {
  return new GantryError('NotFound', `Event ${namespace}/${name} not found`, {
    details: [{ field: 'metadata.name', value: name, message: 'there is no such event' }],
  })
}

function contended({ metadata: { namespace, name } }: { metadata: { namespace: string; name: string } }): GantryError {
  return new GantryError('Conflict', `Event ${namespace}/${name} was changed by others ${ATTEMPTS} times in a row`, {
    details: [{ remedy: 'try again' }],
  })
}

/** It has been told before, as its count says, or that of its series. */
function hasRepeated({ count = 1, series }: Event): boolean {
  return count > 1 || series !== undefined
}

function placeOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new HttpError(400, 'BadRequest', `"${text}" is not a resourceVersion`)
}

function patched(type: 'STRATEGIC' | 'MERGE' | 'JSON', shape: Kind, target: JsonObject, patch: JsonValue): JsonObject {
  switch (type) {
    case 'STRATEGIC':
      return applyStrategicPatch(shape, target, patch) as JsonObject
    case 'MERGE':
      return applyMergePatch(target, patch) as JsonObject
    case 'JSON':
      return applyJsonPatch(target, patch) as JsonObject
  }
}
