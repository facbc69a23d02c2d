/** Waiting for a cluster: until its controller answers, until its nodes are ready. */
import { connectContext } from './admin-connection.ts'
import { GantryError } from '../../proto/api/errors.ts'
import type { Connection } from '../../proto/api/rpc.ts'
import { decodeResource } from '../../proto/api/wire.ts'
import { delay, systemClock } from '../../proto/base/clock.ts'

/** A connection to the cluster of a context, once a controller answers; Unavailable with the last error after `timeout` milliseconds. */
export async function awaitController(context: string, timeout: number): Promise<Connection> {
  const deadline = systemClock.monotonic() + timeout
  const connection = await connectContext(context)
  for (;;) {
    try {
      await connection.client('Cluster').version({}, { timeout: 2_000 })
      return connection
    } catch (thrown) {
      if (systemClock.monotonic() < deadline && GantryError.is(thrown, 'Unavailable', 'DeadlineExceeded')) {
        await delay(systemClock, 25)
        continue
      }
      connection.close()
      throw thrown
    }
  }
}

/** Resolves when `count` nodes are ready, telling after each how many are; DeadlineExceeded names those that are not. */
export async function awaitNodes(connection: Connection, count: number, timeout: number, progress: (ready: number) => void): Promise<void> {
  const ready = new Map<string, boolean>()
  const signal = AbortSignal.timeout(timeout)
  try {
    for await (const { type, object } of connection.client('Resources').watch({ apiVersion: 'v1', kind: 'Node' }, { signal })) {
      if (object !== undefined && type !== 'BOOKMARK') {
        const node = decodeResource('Node', object.raw)
        ready.set(node.metadata.name, type !== 'DELETED' && node.status.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True')
      }
      const number = [...ready.values()].filter(Boolean).length
      progress(number)
      if (number >= count) return
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown
  }
  const waiting = [...ready].filter(([, isReady]) => !isReady).map(([name]) => name)
  throw new GantryError('DeadlineExceeded', `after ${timeout / 1000} s ${count - (ready.size - waiting.length)} of ${count} nodes are not ready${waiting.length === 0 ? '' : `: ${waiting.join(', ')}`}`)
}
