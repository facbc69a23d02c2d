/** The service Resources, with a record of what it is asked. */
import type { Input } from '../../proto/codec/wire.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type {
  ApplyRequest,
  DeleteRequest,
  GetRequest,
  ListRequest,
  ObjectRef,
  PatchRequest,
  WatchEvent,
  WatchRequest,
} from '../../proto/gen/types.ts'
import { ResourcesHandlers } from '../../controller/grpc/resources.ts'

export class RecordedResources extends ResourcesHandlers {
  /** In order: "get Pod web", "apply Deployment web dry", "delete Pod web grace 1". */
  readonly calls: string[] = []
  /** Watches under way. */
  watching = 0

  override get(request: GetRequest, call: CallContext): ReturnType<ResourcesHandlers['get']> {
    this.#record('get', request.ref)
    return super.get(request, call)
  }

  override list(request: ListRequest, call: CallContext): ReturnType<ResourcesHandlers['list']> {
    this.calls.push(`list ${request.kind}`)
    return super.list(request, call)
  }

  override async *watch(request: WatchRequest, call: CallContext): AsyncGenerator<Input<WatchEvent>, void, undefined> {
    this.watching++
    try {
      yield* super.watch(request, call)
    } finally {
      this.watching--
    }
  }

  override patch(request: PatchRequest, call: CallContext): ReturnType<ResourcesHandlers['patch']> {
    this.#record('patch', request.ref, request.type)
    return super.patch(request, call)
  }

  override apply(request: ApplyRequest, call: CallContext): ReturnType<ResourcesHandlers['apply']> {
    this.#record('apply', request.ref, request.options?.dryRun === true && 'dry')
    return super.apply(request, call)
  }

  override delete(request: DeleteRequest, call: CallContext): ReturnType<ResourcesHandlers['delete']> {
    const { ref, eviction, gracePeriodSeconds, propagation } = request
    const grace = gracePeriodSeconds !== undefined && `grace ${gracePeriodSeconds}`
    this.#record(eviction ? 'evict' : 'delete', ref, grace, propagation !== 'BACKGROUND' && propagation)
    return super.delete(request, call)
  }

  #record(verb: string, ref: ObjectRef | undefined, ...more: (string | false)[]): void {
    this.calls.push([verb, ref?.kind, ref?.name, ...more].filter((word) => word !== false).join(' '))
  }
}
