/** What is told to a user who has too many requests under way, by whichever face the last of them came. */
import { GantryError } from '../../../proto/base/errors.ts'

/** Seconds after which the same request is welcome, most likely. */
const RETRY_AFTER = 1
const RETRY_FIELD = 'retryAfterSeconds'
const REASON = 'TooManyRequests'

/**
 * ResourceExhausted. A client finds when to try again in the detail of the field `retryAfterSeconds`; the Kubernetes
 * face answers with 429 and the header Retry-After. https://www.rfc-editor.org/rfc/rfc6585#section-4
 */
export class TooManyRequests extends GantryError {
  /** `why`: what of whose is too much. */
  constructor(why: string) {
    super('ResourceExhausted', `Too many requests, please try again later: ${why}`, {
      details: [
        { field: RETRY_FIELD, value: String(RETRY_AFTER), reason: REASON, remedy: `try again in ${RETRY_AFTER} s` },
      ],
    })
  }
}

/**
 * Seconds after which a request is welcome that this controller, or another that it was passed on to, has refused as
 * one too many; undefined for every other error.
 */
export function retryAfterTooMany({ details }: GantryError): number | undefined {
  const told = details.find(({ field, reason }) => field === RETRY_FIELD && reason === REASON)
  return told === undefined ? undefined : Number(told.value)
}
