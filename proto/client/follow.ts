/** Following objects over lost connections and compacted history, and waiting with an end. */
import { GantryError, type ErrorCode } from '../base/errors.ts'
import { delay, type Clock } from '../base/clock.ts'
import type { Kind, Resources } from '../gen/types.ts'
import type { ClusterClient } from './cluster.ts'
import type { Change, Selection } from './cluster-options.ts'

/**
 * RESTARTED: every present object follows as ADDED, up to a BOOKMARK; what was known and does not come again is gone.
 */
export type RetriedWatchEvent<K extends Kind> = Change<K> | { readonly type: 'RESTARTED' }

const RETRY_MS = 500
/** Failures in a row until the controller counts as gone: half a minute. */
const RETRIES = 60
/** The revision to go on from is no longer kept, or the store, restored from a copy, has not reached it. */
const LIST_AGAIN: ErrorCode[] = ['Expired', 'DeadlineExceeded']

/**
 * Changes after a revision ('' begins with everything present). Ends only by the signal, or by an error that trying
 * again does not mend.
 */
export async function* watchWithRetry<K extends Kind>(
  cluster: ClusterClient,
  clock: Clock,
  kind: K,
  selection: Selection,
  revision: string,
  signal: AbortSignal,
): AsyncGenerator<RetriedWatchEvent<K>, void, undefined> {
  let after = revision
  let failures = 0
  for (;;) {
    try {
      for await (const change of cluster.watch(kind, selection, after, signal)) {
        failures = 0
        if (change.type === 'BOOKMARK') yield change
        else {
          // The server tells the changes of the revision itself again: the caller has listed them.
          if (after === '' || Number(change.object.metadata.resourceVersion) > Number(revision)) yield change
          // Until the first BOOKMARK objects come in the order of their keys: only a revision that was handed in can be
          // gone on from.
          if (after !== '') after = change.object.metadata.resourceVersion
        }
      }
    } catch (thrown) {
      if (signal.aborted || !GantryError.is(thrown, 'Unavailable', ...LIST_AGAIN) || ++failures > RETRIES) throw thrown
      if (GantryError.is(thrown, ...LIST_AGAIN)) after = ''
    }
    if (signal.aborted) return
    await delay(clock, RETRY_MS, signal)
    if (after === '') yield { type: 'RESTARTED' }
  }
}

/** One object's states: now and at every change; undefined while there is none. */
export async function* observe<K extends Kind>(
  cluster: ClusterClient,
  clock: Clock,
  kind: K,
  namespace: string,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Resources[K] | undefined, void, undefined> {
  let present = false
  for await (const change of watchWithRetry(
    cluster,
    clock,
    kind,
    { namespace, fieldSelector: `metadata.name=${name}` },
    '',
    signal,
  )) {
    switch (change.type) {
      case 'ADDED':
      case 'MODIFIED':
        present = true
        yield change.object
        break
      case 'DELETED':
        present = false
        yield undefined
        break
      case 'RESTARTED':
        present = false
        break
      case 'BOOKMARK':
        if (!present) yield undefined
    }
  }
}
