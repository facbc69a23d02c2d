/** Waiting for a cluster: until a controller answers, until its nodes are ready. */
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { watchWithRetry } from '../../proto/client/follow.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { delay, systemClock } from '../../proto/base/clock.ts'
import { withDeadline } from '../../proto/base/deadline.ts'
import { isNodeReady } from '../../proto/objects/node.ts'

/** Milliseconds between two tries to reach a controller that starts. */
const INTERVAL = 20

/** Resolves once a controller answers; DeadlineExceeded, with the last failure, after `timeout` milliseconds. */
export async function awaitController(cluster: ClusterClient, timeout: number, signal: AbortSignal): Promise<void> {
  let last = 'it did not answer'
  await withDeadline(
    systemClock,
    timeout,
    signal,
    () => `after ${timeout / 1000} s no controller answers: ${last}`,
    async (limited) => {
      for (;;) {
        try {
          await cluster.version()
          return
        } catch (thrown) {
          if (!GantryError.is(thrown, 'Unavailable', 'DeadlineExceeded')) throw thrown
          last = thrown.message
        }
        await delay(systemClock, INTERVAL, limited)
      }
    },
  )
}

/** The nodes that `awaitNodes` waited for in vain. */
export class NodesNotReady extends GantryError {
  readonly nodes: readonly string[]

  constructor(nodes: readonly string[], wanted: number, timeout: number) {
    super(
      'DeadlineExceeded',
      `after ${timeout / 1000} s ${nodes.length} of ${wanted} nodes are not ready: ${nodes.join(', ')}`,
      { details: nodes.map((field) => ({ field })) },
    )
    this.nodes = nodes
  }
}

/**
 * Resolves when all of these nodes are ready, telling after each change how many are; NodesNotReady after `timeout`
 * milliseconds.
 */
export async function awaitNodes(
  cluster: ClusterClient,
  names: readonly string[],
  timeout: number,
  signal: AbortSignal,
  progress: (ready: number) => void,
): Promise<void> {
  const waiting = new Set(names)
  if (waiting.size === 0) return
  let late = false
  try {
    await withDeadline(
      systemClock,
      timeout,
      signal,
      () => {
        late = true
        return 'the nodes are not ready in time'
      },
      async (limited) => {
        for await (const change of watchWithRetry(cluster, systemClock, 'Node', { namespace: '' }, '', limited)) {
          if (change.type === 'RESTARTED') for (const name of names) waiting.add(name)
          if (change.type === 'RESTARTED' || change.type === 'BOOKMARK') continue
          const { name } = change.object.metadata
          if (!names.includes(name)) continue
          if (change.type !== 'DELETED' && isNodeReady(change.object)) waiting.delete(name)
          else waiting.add(name)
          progress(names.length - waiting.size)
          if (waiting.size === 0) return
        }
      },
    )
  } catch (thrown) {
    throw late ? new NodesNotReady([...waiting], names.length, timeout) : thrown
  }
}
