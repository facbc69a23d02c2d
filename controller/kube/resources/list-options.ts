/**
 * What a list or a watch asks for.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#the-resourceversion-parameter
 *
 *     resourceVersion   match unset                      NotOlderThan    Exact
 *     unset             the newest                       refused         refused
 *     "0"               what the cache has               the same        refused
 *     N                 not older than N; with a limit   not older       as it was
 *                       as it was at N
 */
import { ANY, NEWEST, type Freshness } from '../../requests/freshness.ts'
import type { ListOptions } from '../../requests/object-reader.ts'
import { Selection } from '../../requests/selection.ts'
import type { WatchOptions } from '../../requests/watch-event.ts'
import type { ResourceRequest } from '../contract.ts'
import { flag } from '../query-flag.ts'
import { HttpError } from '../status.ts'
import { integer, invalidOptions, parameter } from './query.ts'

/** BadRequest for what cannot be read, Invalid for what contradicts itself. */
export function listOptions(request: ResourceRequest): ListOptions {
  const { query } = request
  const [token, match, version] = [query.get('continue') ?? '', matchOf(query), query.get('resourceVersion') ?? '']
  if (query.has('sendInitialEvents')) throw forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list')
  if (match !== '' && token !== '')
    throw forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided')
  if (match !== '' && version === '')
    throw forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided')
  if (match === 'Exact' && version === '0')
    throw forbidden('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
  if (token !== '' && version !== '' && version !== '0')
    throw new HttpError(400, 'BadRequest', 'specifying resource version is not allowed when using continue')
  const limit = integer(query, 'limit') ?? 0
  if (limit < 0)
    throw invalidOptions('ListOptions', {
      field: 'limit',
      value: String(limit),
      message: 'must be greater than or equal to 0',
    })
  const freshness = freshnessOf(version)
  const exact = freshness.is === 'notOlder' && (match === 'Exact' || (match === '' && limit > 0))
  return {
    selection: selectionOf(request),
    freshness: exact ? { ...freshness, is: 'exact' } : freshness,
    limit: limit === 0 ? undefined : limit,
    continue: token,
  }
}

export function watchOptions(request: ResourceRequest): WatchOptions {
  const { query } = request
  const [match, sent] = [matchOf(query), flag(query, 'sendInitialEvents')]
  if (match !== '' && sent === undefined)
    throw forbidden(
      'resourceVersionMatch',
      'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    )
  if (sent !== undefined && match !== 'NotOlderThan')
    throw forbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
  if ((query.get('continue') ?? '') !== '') throw forbidden('continue', 'continue is forbidden for watch')
  const freshness = freshnessOf(query.get('resourceVersion') ?? '')
  const timeout = integer(query, 'timeoutSeconds')
  return {
    selection: selectionOf(request),
    freshness,
    bookmarks: flag(query, 'allowWatchBookmarks') === true,
    initial: sent === true ? 'marked' : sent === false || freshness.is === 'notOlder' ? 'none' : 'told',
    timeout: timeout !== undefined && timeout > 0 ? timeout : undefined,
  }
}

/** Of `resourceVersion`: of a list, a watch or a get. */
export function freshnessOf(version: string): Freshness {
  if (version === '') return NEWEST
  if (!/^\d{1,15}$/.test(version))
    throw invalidOptions('ListOptions', {
      field: 'resourceVersion',
      value: version,
      message: 'is not a resource version: take it from a list or a bookmark',
    })
  return Number(version) === 0 ? ANY : { is: 'notOlder', revision: Number(version) }
}

function selectionOf({ query, target: { resource, namespace } }: ResourceRequest): Selection {
  return parameter(
    () =>
      new Selection(
        resource.stored!,
        namespace === '' ? undefined : namespace,
        query.get('labelSelector') ?? '',
        query.get('fieldSelector') ?? '',
      ),
  )
}

function matchOf(query: URLSearchParams): '' | 'Exact' | 'NotOlderThan' {
  const match = query.get('resourceVersionMatch') ?? ''
  if (match === '' || match === 'Exact' || match === 'NotOlderThan') return match
  throw invalidOptions('ListOptions', {
    field: 'resourceVersionMatch',
    value: match,
    message: 'supported values: "Exact", "NotOlderThan", ""',
    reason: 'FieldValueNotSupported',
  })
}

function forbidden(field: string, message: string): Error {
  return invalidOptions('ListOptions', { field, message, reason: 'FieldValueForbidden' })
}
