/** Waits until objects are ready. */
import type { Clock } from '../base/clock.ts'
import { withDeadline } from '../base/deadline.ts'
import { GantryError } from '../base/errors.ts'
import { formatAge } from '../objects/columns/age.ts'
import type { ClusterClient } from './cluster.ts'
import { notFound, throwFailures } from './failures.ts'
import { observe } from './follow.ts'
import { kindWord } from './kind-words.ts'
import type { ObjectKey } from './object-key.ts'
import { readinessOf, recordOf } from './kinds/registry.ts'

export interface WaitOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Milliseconds. */
  readonly timeout: number
  /** Is told after each change what those that are still waited for wait for, a sentence each. */
  readonly onWaiting?: (texts: readonly string[], left: number) => void
}

/**
 * The sentences of those that took time to get ready. FailedPrecondition for an object that will not get ready by
 * itself, DeadlineExceeded with what is missing after the timeout; NotFound.
 */
export async function awaitReady(
  cluster: ClusterClient,
  objects: readonly ObjectKey[],
  { clock, signal, timeout, onWaiting }: WaitOptions,
): Promise<string[]> {
  const open = new Map<ObjectKey, string>()
  const ready: string[] = []
  const tell = (): void =>
    onWaiting?.(
      [...open.values()].filter((text) => text !== ''),
      open.size,
    )
  const missing = (): string =>
    `not ready after ${formatAge(timeout)}: ${[...open].map(([{ kind, name }, text]) => text || `${kindWord(kind)}/${name}`).join('; ')}`
  await withDeadline(clock, timeout, signal, missing, async (limited) => {
    for (const object of objects) open.set(object, '')
    const answers = await Promise.allSettled(
      objects.map(async (object) => {
        const text = await awaitOne(cluster, clock, object, limited, (waiting) => {
          open.set(object, waiting)
          tell()
        })
        if (recordOf(object.kind).takesTime === true) ready.push(text)
        open.delete(object)
        tell()
      }),
    )
    limited.throwIfAborted()
    throwFailures(answers.flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : [])))
  })
  return ready
}

async function awaitOne(
  cluster: ClusterClient,
  clock: Clock,
  { kind, namespace, name }: ObjectKey,
  signal: AbortSignal,
  waiting: (text: string) => void,
): Promise<string> {
  for await (const object of observe(cluster, clock, kind, namespace, name, signal)) {
    if (object === undefined) throw notFound(kind, namespace, name)
    const readiness = readinessOf(object)
    if (readiness.is === 'ready') return readiness.text
    waiting(readiness.text) // of one that failed too: others may still be waited for until time is up
    if (readiness.is === 'failed')
      throw new GantryError('FailedPrecondition', readiness.text, {
        details: [{ remedy: `\`gantry describe ${kind.toLowerCase()} ${name} -n ${namespace}\` tells more` }],
      })
  }
  throw new GantryError('Unavailable', `${kindWord(kind)}/${name} could not be followed`)
}
