/**
 * How a call ended, as an error of this program: by its gRPC status or, where a server or what stands before it gave
 * none, by HTTP. https://grpc.github.io/grpc/core/md_doc_statuscodes.html,
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { GantryError, GRPC_STATUS, type ErrorCode } from '../../../proto/base/errors.ts'
import type { HeaderFields } from '../../../proto/rpc/http2/header-fields.ts'

const OK = 0
const UNKNOWN = 2
const UNIMPLEMENTED = 12

/** What remains is Unavailable: broken connections, a member without leader, a deadline. */
const CODES = new Map<number, ErrorCode>(
  // Expired: a revision that is compacted, or one that the member does not have yet.
  (['InvalidArgument', 'NotFound', 'Forbidden', 'ResourceExhausted', 'Expired', 'Unauthenticated'] as const).map(
    (code) => [GRPC_STATUS[code], code],
  ),
)

/** The status of an answer that has none of gRPC. https://grpc.github.io/grpc/core/md_doc_http-grpc-status-mapping.html */
const STATUS_OF_HTTP = new Map<string, number>([
  ['400', GRPC_STATUS.Internal],
  ['401', GRPC_STATUS.Unauthenticated],
  ['403', GRPC_STATUS.Forbidden],
  ['404', UNIMPLEMENTED],
  ...['429', '502', '503', '504'].map((status): [string, number] => [status, GRPC_STATUS.Unavailable]),
])

/**
 * The error of a call by the status that etcd gave it
 * (https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/ names them per error).
 */
export function errorOfStatus(status: number, text: string, cause?: unknown): GantryError {
  return new GantryError(CODES.get(status) ?? 'Unavailable', `etcd: ${text}`, { cause })
}

/** Whether an answer that begins like this has messages of gRPC. */
export function isGrpc(head: HeaderFields): boolean {
  return head[':status'] === '200' && (head['content-type'] ?? '').startsWith('application/grpc')
}

/**
 * Why a call failed that ended in order; undefined when it succeeded. Its status is in the trailers or, where there is
 * nothing else, in the head; either may be missing.
 */
export function failureOf(head: HeaderFields | undefined, trailers: HeaderFields | undefined): GantryError | undefined {
  const told = trailers?.['grpc-status'] === undefined ? head : trailers
  const status = told?.['grpc-status']
  if (status !== undefined) {
    const code = /^\d+$/.test(status) ? Number(status) : UNKNOWN
    return code === OK
      ? undefined
      : errorOfStatus(code, decodedMessage(told?.['grpc-message'] ?? `gRPC status ${status}`))
  }
  const http = head?.[':status']
  if (http === undefined || http === '200') return errorOfStatus(UNKNOWN, 'the call ended without a status')
  return errorOfStatus(STATUS_OF_HTTP.get(http) ?? UNKNOWN, `no answer of gRPC but HTTP status ${http}`)
}

/** grpc-message is percent-encoded UTF-8; one that is not is shown as it is. */
function decodedMessage(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (thrown) {
    if (thrown instanceof URIError) return text
    throw thrown
  }
}
