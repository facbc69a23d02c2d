/** The methods of a service as transports see them: how messages become bytes and what flows which way. */
import type { Messages, Services } from '../gen/types.ts'
import { decode, encode } from '../codec/wire.ts'
import { schema } from '../schema/schema.ts'

/** Objects are at most 1.5 MB; a page or a complete assignment holds many. In bytes, of one message. */
export const MESSAGE_LIMIT = 64 * 1024 * 1024

/** Messages of a stream that wait to be taken at most; then the sender is made to wait. */
export const WINDOW = 16

export interface RpcMethod {
  /** As handlers and clients call it. */
  readonly name: string
  /** `/gantry.v1.Service/Method` */
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly encodeRequest: (value: unknown) => Uint8Array
  readonly decodeRequest: (bytes: Uint8Array) => unknown
  readonly encodeResponse: (value: unknown) => Uint8Array
  readonly decodeResponse: (bytes: Uint8Array) => unknown
}

export function methodsOf(service: keyof Services): RpcMethod[] {
  return schema.services[service]!.methods.map((method) => {
    const request = method.request as keyof Messages
    const response = method.response as keyof Messages
    return {
      name: method.name[0]!.toLowerCase() + method.name.slice(1),
      path: `/gantry.v1.${service}/${method.name}`,
      requestStream: method.requestStream,
      responseStream: method.responseStream,
      encodeRequest: (value) => encode(request, value as never),
      decodeRequest: (bytes) => decode(request, bytes),
      encodeResponse: (value) => encode(response, value as never),
      decodeResponse: (bytes) => decode(response, bytes),
    }
  })
}
