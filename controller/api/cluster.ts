/** The service Cluster: the cluster as a whole. */
import { GantryError } from '../../proto/api/errors.ts'
import type { CallContext, Handlers } from '../../proto/api/rpc.ts'
import { parseTime } from '../../proto/api/time.ts'
import { encode, type Input } from '../../proto/api/wire.ts'
import type { ClusterService, Event, EventsRequest, ObjectBytes, VersionResponse, WhyRequest, WhyResponse } from '../../proto/gen/types.ts'
import { DEFAULT_NAMESPACE } from './identity.ts'

/** Where events are read; see controller/events. */
export interface EventSource {
  read(query: { namespace?: string; kind?: string; name?: string; since?: number; type?: string }, follow: boolean, signal: AbortSignal): AsyncIterable<Event>
}

export interface ClusterParts {
  /** Gantry's version and this controller's name. */
  readonly version: string
  readonly controller: string
  /** The leading controller's name, empty if none leads now. */
  readonly leader: () => string
  readonly events: EventSource
  /** The scheduler's latest verdicts on a pod; NotFound. */
  readonly why: (namespace: string, pod: string) => Input<WhyResponse> | Promise<Input<WhyResponse>>
}

export class ClusterHandlers implements Handlers<ClusterService> {
  readonly #parts: ClusterParts

  constructor(parts: ClusterParts) {
    this.#parts = parts
  }

  version(): Promise<Input<VersionResponse>> {
    const { version, controller, leader } = this.#parts
    return Promise.resolve({ version, controller, leader: leader(), nodeVersion: process.version })
  }

  async *events(request: EventsRequest, call: CallContext): AsyncGenerator<Input<ObjectBytes>, void, undefined> {
    const { namespace, kind, name, since, follow, type } = request
    if (type !== '' && type !== 'Normal' && type !== 'Warning') throw new GantryError('InvalidArgument', `there are no events of type ${type}`, { details: [{ field: 'type', value: type, message: 'is neither Normal nor Warning' }] })
    const query = { namespace, kind, name, type, ...since !== '' && { since: parseTime(since) } }
    for await (const event of this.#parts.events.read(query, follow, call.signal)) {
      yield { apiVersion: event.apiVersion, kind: event.kind, raw: encode('Event', event) }
    }
  }

  async why(request: WhyRequest): Promise<Input<WhyResponse>> {
    if (request.pod === '') throw new GantryError('InvalidArgument', 'the request names no pod', { details: [{ field: 'pod', message: 'is empty' }] })
    return this.#parts.why(request.namespace === '' ? DEFAULT_NAMESPACE : request.namespace, request.pod)
  }
}
