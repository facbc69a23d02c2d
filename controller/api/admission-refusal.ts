/** A refusal in the words of who was asked: an admission webhook's or a policy's, with the HTTP status that it chose. */
import { GantryError } from '../../proto/api/errors.ts'
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

  /** Whatever status it is given: to the control plane it is something that is not allowed, or, from 500 on, a state in which nothing can be said. */
  constructor(status: RefusalStatus, cause?: unknown) {
    super(status.code < 500 ? 'Forbidden' : 'FailedPrecondition', status.message, { cause })
    this.status = status
  }
}
