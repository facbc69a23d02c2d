/**
 * Lists of events in chunks. The order is that of their places in the stream. A list that goes on shows what is there
 * of what its first chunk was taken from: an event that was told anew meanwhile is behind the list's place, where a
 * watch that begins there tells of it.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
 */
import type { Event } from '../../../proto/gen/types.ts'
import { integer, invalidOptions } from '../resources/query.ts'
import { HttpError } from '../status.ts'

export interface ContinueRange {
  /** Undefined: everything. */
  readonly limit: number | undefined
  /** Where the list goes on; undefined: it begins. */
  readonly from: { readonly after: number; readonly last: number } | undefined
}

const TOKEN = /^(\d{1,15})\.(\d{1,15})$/

/** BadRequest for a token that was not given out. */
export function continueRangeOf(query: URLSearchParams): ContinueRange {
  const limit = integer(query, 'limit') ?? 0
  if (limit < 0)
    throw invalidOptions('ListOptions', {
      field: 'limit',
      value: String(limit),
      message: 'must be greater than or equal to 0',
    })
  const token = query.get('continue') ?? ''
  const parts = TOKEN.exec(Buffer.from(token, 'base64url').toString())
  if (token !== '' && parts === null)
    throw new HttpError(400, 'BadRequest', 'continue key is not valid: it is not one that a list of events has given')
  return {
    limit: limit === 0 ? undefined : limit,
    from: parts === null ? undefined : { after: Number(parts[1]), last: Number(parts[2]) },
  }
}

/** The events of one chunk and the metadata of its list. `after`: the stream's last place when `events` were taken. */
export function page(
  events: readonly Event[],
  after: number,
  { limit, from }: ContinueRange,
): { items: readonly Event[]; metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number } } {
  const end = from?.after ?? after
  const left =
    limit === undefined && from === undefined
      ? events
      : events
          .filter((event) => placeOf(event) <= end && placeOf(event) > (from?.last ?? -1))
          .sort((a, b) => placeOf(a) - placeOf(b))
  const items = limit === undefined ? left : left.slice(0, limit)
  const metadata = { resourceVersion: String(end) }
  const remaining = left.length - items.length
  if (remaining === 0) return { items, metadata }
  const token = Buffer.from(`${end}.${placeOf(items.at(-1)!)}`).toString('base64url')
  return { items, metadata: { ...metadata, continue: token, remainingItemCount: remaining } }
}

function placeOf({ metadata }: Event): number {
  return Number(metadata.resourceVersion)
}
