/**
 * The API of a controller for the tests of its clients: the gRPC face on loopback, the door and the API core over a
 * memory store. No reconciler runs, and nobody schedules; nodes, and the scheduler's verdicts, are what the test says.
 *
 *     client ──gRPC──▶ face ──▶ door ──▶ API core ──▶ memory store ◀── put, remove
 *                                └─────▶ ScriptedNodes, verdicts, event log
 */
import { AdmissionRefusal } from '../../controller/api/admission-refusal.ts'
import type { AdmissionPlugin } from '../../controller/api/contract.ts'
import { hasGeneration } from '../../controller/objects/object-section.ts'
import type { Authorizer } from '../../controller/authorization/authorizer.ts'
import { MemoryEventLog, MemoryNews } from '../../controller/events/memory-news.ts'
import { ClusterHandlers } from '../../controller/grpc/cluster.ts'
import { PodsHandlers } from '../../controller/grpc/pods.ts'
import type { Change } from '../../controller/informer/contract.ts'
import type { Operation } from '../../controller/store/contract.ts'
import { objectKey } from '../../controller/store/keys.ts'
import { FakeClock, type Clock } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { formatTime } from '../../proto/base/time.ts'
import { randomUuid } from '../../proto/base/random.ts'
import { VERSION } from '../../proto/base/version.ts'
import { decodeJson } from '../../proto/codec/codec.ts'
import { applyDefaults } from '../../proto/codec/defaults.ts'
import { encodeResource } from '../../proto/codec/wire.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import { Server } from '../../proto/rpc/rpc.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import type { AnyResource, Event, JsonValue, Kind, WhyResponse } from '../../proto/gen/types.ts'
import { ControlPlane } from '../controller/control-plane.ts'
import { testRequests } from '../controller/requests/test-requests.ts'
import { RecordedResources } from './recorded-resources.ts'
import { ScriptedNodes } from './scripted-nodes.ts'

const NAME = 'c1'
/** In the clear nobody shows who he is. */
const everybody: Authorizer = { decide: () => ({ allowed: true }) }

export class GrpcApiServer {
  readonly nodes = new ScriptedNodes()
  /** The scheduler's, by the name of a pod. */
  readonly verdicts = new Map<string, WhyResponse>()
  /** Why a pod, by its name, may not be evicted the next times. */
  readonly refusedEvictions: Map<string, string[]>
  /** Names of pods whose processes do not end though they are told to. */
  readonly lingering = new Set<string>()
  /** host:port */
  address = ''
  readonly #clock: Clock
  readonly #plane: ControlPlane
  readonly #news: MemoryNews
  readonly #resources: RecordedResources
  readonly #server = new Server({ address: '127.0.0.1:0' })
  /** What nodes have told of pods that ended. */
  readonly #releases: Promise<unknown>[] = []

  private constructor(clock: Clock, plane: ControlPlane, refusedEvictions: Map<string, string[]>) {
    this.#clock = clock
    this.#plane = plane
    this.refusedEvictions = refusedEvictions
    this.#news = new MemoryNews(new MemoryEventLog(clock), { clock, random: plane.random })
    const requests = testRequests({
      api: plane.api,
      informer: plane.informer,
      reads: plane.reads,
      clock,
      authorizer: everybody,
      pods: this.nodes,
      usage: { of: (node) => this.nodes.usage(node) },
      events: this.#news.events,
      cluster: {
        version: VERSION,
        controller: NAME,
        leader: () => NAME,
        why: (_namespace, pod) => this.#why(pod),
        waitForNetwork: () => Promise.resolve(),
        netCheck: {
          run: (request) => this.nodes.checkNetwork(request),
          node: () => {
            throw new GantryError('Unsupported', 'for other controllers')
          },
        },
      },
    })
    this.#resources = new RecordedResources(requests)
    this.#server.add('Resources', this.#resources)
    this.#server.add('Pods', new PodsHandlers(requests))
    this.#server.add('Cluster', new ClusterHandlers(requests))
    plane.informer.on('Pod', (change) => this.#podChanged(change))
  }

  /** Listens, with the namespace `default`. Its time of day is the clock's. */
  static async start(clock: Clock = new FakeClock()): Promise<GrpcApiServer> {
    const refusedEvictions = new Map<string, string[]>()
    const plane = await ControlPlane.start(clock, { plugins: () => [budget(refusedEvictions)] })
    const server = new GrpcApiServer(clock, plane, refusedEvictions)
    server.address = await server.#server.start()
    return server
  }

  async stop(): Promise<void> {
    await this.#server.stop()
    await Promise.all(this.#releases)
    await this.#plane.stop()
  }

  /** Requests for objects, in order: "apply Deployment web dry". */
  get calls(): readonly string[] {
    return this.#resources.calls
  }

  /** Watches under way. */
  get watching(): number {
    return this.#resources.watching
  }

  /** As the cache shows it, which has what was put and what a command that has ended wrote. Not to be changed. */
  get<T extends AnyResource>(kind: T['kind'], name: string, namespace = 'default'): T | undefined {
    return this.#plane.informer.lister(kind).get(resourceOf(kind).namespaced ? namespace : '', name) as T | undefined
  }

  /**
   * Stores an object as it is, status included, as if controllers and agents had brought it there; with a uid, a time
   * of creation and a generation if it says none.
   */
  async put(json: JsonValue): Promise<void> {
    const object = applyDefaults(decodeJson(undefined, json)) as AnyResource
    const { kind, metadata } = object
    if (resourceOf(kind).namespaced && metadata.namespace === '') metadata.namespace = 'default'
    const before = this.get(kind, metadata.name, metadata.namespace)?.metadata
    metadata.uid = before?.uid ?? (metadata.uid === '' ? randomUuid(this.#plane.random) : metadata.uid)
    metadata.creationTimestamp ??= before?.creationTimestamp ?? formatTime(this.#clock.now())
    if (hasGeneration(kind)) metadata.generation ??= before?.generation ?? 1
    const key = objectKey(kind, metadata.namespace, metadata.name)
    await this.#commit({ kind: 'put', key, value: encodeResource(object), expect: { is: 'any' } })
  }

  /** Takes an object away, whatever holds it. */
  async remove(kind: Kind, name: string, namespace = 'default'): Promise<void> {
    const object = this.get(kind, name, namespace)
    if (object === undefined) throw new Error(`there is no ${kind} ${name}`)
    const { resourceVersion } = object.metadata
    const key = objectKey(kind, namespace, name)
    await this.#commit({ kind: 'delete', key, expect: { is: 'at', revision: Number(resourceVersion) } })
  }

  /** Tells events, as a node reports them. */
  publish(...events: Event[]): void {
    for (const event of events) this.#news.recorder.publish(event)
  }

  async #commit(operation: Operation): Promise<void> {
    const result = await this.#plane.store.commit([operation])
    if (result.outcome !== 'committed') throw new Error(`${operation.key}: ${result.outcome}`)
    await this.#plane.informer.waitForRevision(result.revision)
  }

  #why(pod: string): WhyResponse {
    const verdict = this.verdicts.get(pod)
    if (verdict === undefined) throw new GantryError('NotFound', `the scheduler has not seen pod ${pod} yet`)
    return verdict
  }

  /** A pod that is told to end does so at once. */
  #podChanged({ type, cached: { object: pod }, previous }: Change<'Pod'>): void {
    const { namespace, name, uid } = pod.metadata
    if (type !== 'modified' || !isDeleting(pod) || isDeleting(previous!.object) || this.lingering.has(name)) return
    const released = this.#plane.api.release(namespace, name, uid, { fieldManager: 'agent' })
    this.#releases.push(
      released.catch((thrown: unknown) => {
        if (!GantryError.is(thrown, 'NotFound')) throw thrown
      }),
    )
  }
}

/** Has a say in evictions, as what keeps enough pods of an application does. It answers each once. */
function budget(refused: ReadonlyMap<string, string[]>): AdmissionPlugin {
  return {
    name: 'Budget',
    remote: true,
    handles: ({ subresource }) => subresource === 'eviction',
    validate: ({ name }) => {
      const message = refused.get(name)?.shift()
      if (message !== undefined) throw new AdmissionRefusal({ code: 429, reason: 'TooManyRequests', message })
    },
  }
}
