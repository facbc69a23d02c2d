/** The API core as its callers have it, with their requests told to a test, which can fail one before or after it. */
import type { ObjectApi, WriteContext } from '../../controller/api/contract.ts'
import type { Kind, ObjectMeta } from '../../proto/gen/types.ts'

export interface ApiRequest {
  readonly verb: keyof ObjectApi
  readonly kind: Kind
  /** The prefix of the name that the server is to make, where there is no name. */
  readonly name: string
  /** Of a reconciler: the ServiceAccount as which it writes. */
  readonly controllerAccount: string | undefined
}

export interface Interceptor {
  /** Throws instead of the request. */
  before?(request: ApiRequest): void
  /** Throws though the request has been done. */
  after?(request: ApiRequest): void
}

/** Everything else is the API's own. */
export function interceptedApi(api: ObjectApi, { before, after }: Interceptor): ObjectApi {
  return new Proxy(api, {
    get(target, verb: keyof ObjectApi) {
      const call = target[verb].bind(target) as (...values: unknown[]) => Promise<unknown>
      return async (...values: unknown[]): Promise<unknown> => {
        const request = requestOf(verb, values)
        before?.(request)
        const answer = await call(...values)
        after?.(request)
        return answer
      }
    },
  })
}

/** Requests begin with an object, with kind, namespace and name, or, those that only pods have, without the kind. */
function requestOf(verb: keyof ObjectApi, values: readonly unknown[]): ApiRequest {
  const [kind, name] = targetOf(verb, values)
  const context = values.find((value) => (value as WriteContext | undefined)?.fieldManager !== undefined)
  return { verb, kind, name, controllerAccount: (context as WriteContext | undefined)?.controllerAccount }
}

function targetOf(verb: keyof ObjectApi, [first, second, third]: readonly unknown[]): [kind: Kind, name: string] {
  switch (verb) {
    case 'create':
    case 'update':
    case 'updateStatus': {
      const { kind, metadata } = first as { kind: Kind; metadata: Partial<ObjectMeta> }
      return [kind, metadata.name ?? metadata.generateName ?? '']
    }
    case 'bind':
    case 'release':
      return ['Pod', second as string]
    case 'get':
    case 'patch':
    case 'apply':
    case 'delete':
    case 'deletion':
    case 'mutate':
    case 'admitConnection':
      return [first as Kind, third as string]
  }
}
