/** What is told to a user who has too many requests under way, by whichever face the last of them came. */
import { GantryError } from '../../../proto/base/errors.ts'

/** Seconds after which the same request is welcome, most likely. */
const RETRY_AFTER = 1

/**
 * ResourceExhausted. A client finds when to try again in the detail of the field `retryAfterSeconds`; the Kubernetes
 * face answers with 429 and the header Retry-After. https://www.rfc-editor.org/rfc/rfc6585#section-4
 */
export class TooManyRequests extends GantryError {
  readonly retryAfterSeconds = RETRY_AFTER

  /** `why`: what of whose is too much. */
  constructor(why: string) {
    super('ResourceExhausted', `Too many requests, please try again later: ${why}`, {
      details: [
        {
          field: 'retryAfterSeconds',
          value: String(RETRY_AFTER),
          reason: 'TooManyRequests',
          remedy: `try again in ${RETRY_AFTER} s`,
        },
      ],
    })
  }
}
