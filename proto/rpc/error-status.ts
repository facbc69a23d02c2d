/** Errors as they travel: an ErrorStatus with code, message and details. */
import { GantryError, GRPC_STATUS, type ErrorCode } from '../base/errors.ts'
import { decode, encode } from '../codec/wire.ts'

/** Of gRPC's trailing metadata: an ErrorStatus. */
export const ERROR_KEY = 'gantry-error-bin'

const codes = new Map<number, ErrorCode>(
  Object.entries(GRPC_STATUS).map(([code, status]) => [status, code as ErrorCode]),
)

/** A status that is none of ours, as of something between the two programs, is Internal. */
export function codeOfStatus(status: number): ErrorCode {
  return codes.get(status) ?? 'Internal'
}

/** What a handler has thrown, as bytes. */
export function packError({ code, message, details }: GantryError): Uint8Array {
  return encode('ErrorStatus', { code, message, details: [...details] })
}

/**
 * The error that the bytes say. Internal for a code that is not known here, as of a newer program, and for bytes that
 * are no ErrorStatus. Never throws: callbacks of a connection call it, from which nobody could catch anything.
 */
export function unpackError(bytes: Uint8Array, cause?: unknown): GantryError {
  try {
    const { code, message, details } = decode('ErrorStatus', bytes)
    return new GantryError(Object.hasOwn(GRPC_STATUS, code) ? (code as ErrorCode) : 'Internal', message, {
      details,
      cause,
    })
  } catch (thrown) {
    return GantryError.from(thrown)
  }
}

/** What a call throws that its caller has given up. */
export function cancelled({ reason }: AbortSignal): GantryError {
  return reason instanceof GantryError
    ? reason
    : new GantryError('Cancelled', 'the call was given up', { cause: reason })
}
