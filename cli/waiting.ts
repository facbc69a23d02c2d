/** Waiting for objects, with a line on standard error that says for what. */
import type { AnyResource } from '../proto/gen/types.ts'
import type { ClusterClient } from '../proto/client/cluster.ts'
import { awaitGone } from '../proto/client/gone-wait.ts'
import type { ObjectKey } from '../proto/client/object-key.ts'
import { awaitReady } from '../proto/client/ready-wait.ts'
import type { Environment } from '../proto/terminal/environment.ts'
import { Progress } from '../proto/terminal/output/progress.ts'

/** Ends with a line that says that they are ready. `timeout`: milliseconds. */
export async function waitUntilReady(
  cluster: ClusterClient,
  { clock, signal, stderr }: Environment,
  objects: readonly ObjectKey[],
  timeout: number,
): Promise<void> {
  const progress = new Progress(stderr)
  const onWaiting = ([first, ...more]: readonly string[], left: number): void => {
    if (first === undefined) return
    progress.update(more.length === 0 ? first : `${objects.length - left} of ${objects.length} ready; ${first}`)
  }
  let ready: string[]
  try {
    ready = await awaitReady(cluster, objects, { clock, signal, timeout, onWaiting })
  } finally {
    progress.clear()
  }
  if (ready.length > 0) stderr.write(`${ready.length === 1 ? ready[0]! : `all ${ready.length} are ready`}\n`)
}

/** On a terminal it says what is waited for. `timeout`: milliseconds, 0 for ever. */
export async function waitUntilGone(
  cluster: ClusterClient,
  { clock, signal, stderr }: Environment,
  objects: readonly AnyResource[],
  timeout: number,
): Promise<void> {
  const progress = new Progress(stderr)
  const onWaiting = ([first]: readonly string[]): void => {
    if (stderr.isTTY === true && first !== undefined) progress.update(first)
  }
  try {
    await awaitGone(cluster, objects, { clock, signal, timeout, onWaiting })
  } finally {
    progress.clear()
  }
}
