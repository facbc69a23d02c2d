/**
 * The one error class. Its codes are closed: callers switch on them and never on message text. At a border (gRPC, a
 * child process, a file) whatever was thrown becomes a GantryError by `GantryError.from`, which keeps the original as
 * `cause`.
 */
import type { ErrorDetail } from '../gen/types.ts'

/** Code → its gRPC status number (https://grpc.io/docs/guides/status-codes/). */
export const GRPC_STATUS = {
  /** The request is wrong whatever the state of the cluster. */
  InvalidArgument: 3,
  /** A deadline passed. */
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  /** Known, but not allowed. */
  Forbidden: 7,
  /** Out of something: disk, size limit, quota. */
  ResourceExhausted: 8,
  /** The request is right, the state it needs is not there. */
  FailedPrecondition: 9,
  /** Somebody else changed it since: read again and retry. */
  Conflict: 10,
  /** The revision asked for is compacted: list again. */
  Expired: 11,
  /** Kubernetes has it, Gantry does not act on it yet. */
  Unsupported: 12,
  /** A defect of Gantry's. */
  Internal: 13,
  /** A peer cannot be reached now; a retry may succeed. */
  Unavailable: 14,
  Unauthenticated: 16,
  /** The caller gave up. */
  Cancelled: 1,
} as const

export type ErrorCode = keyof typeof GRPC_STATUS

export interface ErrorOptions {
  readonly details?: readonly Partial<ErrorDetail>[]
  readonly cause?: unknown
}

const BRAND = Symbol.for('gantry.dev/error')

export class GantryError extends Error {
  /**
   * So that an error of one bundle is one in another: a project may load several (gantry/rig, gantry/testcontainers).
   */
  readonly [BRAND] = true
  readonly code: ErrorCode
  /** Field, value, message and remedy, as far as each is known ('' if not). */
  readonly details: readonly ErrorDetail[]

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'GantryError'
    this.code = code
    this.details = (options.details ?? []).map((detail) => ({
      field: '',
      value: '',
      message: '',
      remedy: '',
      ...detail,
    }))
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== GantryError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && BRAND in value
  }

  /**
   * The error itself, or a wrapper of what was thrown: an abort is Cancelled, a system error by its errno, anything
   * else `fallback`.
   */
  static from(thrown: unknown, fallback: ErrorCode = 'Internal'): GantryError {
    if (thrown instanceof GantryError) return thrown
    if (!(thrown instanceof Error)) return new GantryError(fallback, String(thrown), { cause: thrown })
    if (thrown.name === 'AbortError')
      return thrown.cause instanceof GantryError
        ? thrown.cause
        : new GantryError('Cancelled', thrown.message, { cause: thrown })
    const errno = (thrown as NodeJS.ErrnoException).code
    return new GantryError(errno === undefined ? fallback : (ERRNO_CODES[errno] ?? fallback), thrown.message, {
      cause: thrown,
    })
  }

  /** True for a GantryError with one of these codes. */
  static is(thrown: unknown, ...codes: ErrorCode[]): thrown is GantryError {
    return thrown instanceof GantryError && codes.includes(thrown.code)
  }
}

const ERRNO_CODES: Record<string, ErrorCode> = {
  ENOENT: 'NotFound',
  EEXIST: 'AlreadyExists',
  EACCES: 'Forbidden',
  EPERM: 'Forbidden',
  ENOSPC: 'ResourceExhausted',
  EDQUOT: 'ResourceExhausted',
  EMFILE: 'ResourceExhausted',
  ECONNREFUSED: 'Unavailable',
  ECONNRESET: 'Unavailable',
  EHOSTUNREACH: 'Unavailable',
  ENETUNREACH: 'Unavailable',
  ENOTFOUND: 'Unavailable',
  EAI_AGAIN: 'Unavailable',
  EPIPE: 'Unavailable',
  ETIMEDOUT: 'DeadlineExceeded',
}
