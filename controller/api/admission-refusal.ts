/**
 * A refusal in the words of who was asked: an admission webhook's or a policy's, with the HTTP status that it chose.
 */
import { GantryError, type ErrorCode } from '../../proto/base/errors.ts'
import type { StatusDetails } from '../../proto/gen/types.ts'

export interface RefusalStatus {
  /** 400 or more. */
  readonly code: number
  /** One word, for programs; '' if it was not said. */
  readonly reason: string
  readonly message: string
  readonly details?: StatusDetails | undefined
}

export class AdmissionRefusal extends GantryError {
  readonly status: RefusalStatus

  constructor(status: RefusalStatus, cause?: unknown) {
    super(codeOf(status), status.message, { cause })
    this.status = status
  }
}

const TOO_MANY_REQUESTS = 429

/**
 * To the control plane it is something that is not allowed, or not now, or, from 500 on, a state in which nothing can
 * be said.
 */
function codeOf({ code }: RefusalStatus): ErrorCode {
  if (code === TOO_MANY_REQUESTS) return 'ResourceExhausted'
  return code < 500 ? 'Forbidden' : 'FailedPrecondition'
}
