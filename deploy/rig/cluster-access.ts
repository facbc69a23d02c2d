/** A rig's cluster as its administrator reaches it, by the context in the rig's own folder. */
import { ClusterClient } from '../../proto/client/cluster.ts'
import { loadCredentials, readContexts, type Context } from '../../proto/client/context.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { connect } from '../../proto/rpc/rpc.ts'
import { ownContextFile } from './cluster-files.ts'
import { systemClock } from '../../proto/base/clock.ts'

/** Milliseconds for one answer unless said. */
const TIMEOUT = 15_000

/** FailedPrecondition if the rig is not so far that it has one. */
export async function rigContext(rig: string): Promise<Context> {
  const { contexts } = await readContexts(ownContextFile(rig))
  const context = contexts.find(({ name }) => name === rig)
  if (context === undefined)
    throw new GantryError('FailedPrecondition', `the rig "${rig}" has no context yet: it is not wholly up`, {
      details: [{ field: 'rig', value: rig, remedy: '`gantry rig list` tells its state' }],
    })
  return context
}

/** The cluster; it is dialled at the first call, and must be closed. */
export async function openCluster(rig: string, signal: AbortSignal, timeout = TIMEOUT): Promise<ClusterClient> {
  const context = await rigContext(rig)
  return new ClusterClient({
    context,
    credentials: await loadCredentials(context, ownContextFile(rig)),
    connect,
    clock: systemClock,
    signal,
    timeout,
  })
}
