/**
 * How new what is read must be.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#the-resourceversion-parameter
 */
import { GantryError } from '../../proto/base/errors.ts'

/**
 * `newest`: every write that was acknowledged before; `any`: whatever the cache has; `notOlder` than a revision;
 * `exact`: as it was then.
 */
export type Freshness =
  | { readonly is: 'newest' }
  | { readonly is: 'any' }
  | { readonly is: 'notOlder' | 'exact'; readonly revision: number }

export const NEWEST: Freshness = { is: 'newest' }
export const ANY: Freshness = { is: 'any' }

/** The revision that a text names; InvalidArgument. */
export function parseRevision(text: string): number {
  const revision = /^\d{1,15}$/.test(text) ? Number(text) : NaN
  if (Number.isNaN(revision))
    throw new GantryError('InvalidArgument', `"${text}" is not a resourceVersion`, {
      details: [
        {
          field: 'resourceVersion',
          value: text,
          message: 'is not a revision',
          remedy: 'take it from a list or a bookmark',
        },
      ],
    })
  return revision
}
