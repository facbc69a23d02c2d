/** Waits until objects are ready, showing which are not yet. */
import { GantryError } from '../base/errors.ts'
import type { Kind } from '../gen/types.ts'
import type { ClusterClient } from './cluster.ts'
import type { Environment } from '../terminal/environment.ts'
import { kindWord } from './kind-words.ts'
import { notFound, throwFailures } from './failures.ts'
import { withDeadline } from '../base/deadline.ts'
import { formatAge } from '../objects/columns/age.ts'
import { Progress } from '../terminal/output/progress.ts'
import { readinessOf } from './readiness.ts'
import { observe } from './follow.ts'

interface ReadyTarget {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

/** Kinds that take time to get ready; the others are so once they exist. */
const KINDS_WITH_READINESS: ReadonlySet<Kind> = new Set<Kind>(['Pod', 'Deployment', 'ReplicaSet'])

/**
 * Ends with a line that says so. FailedPrecondition for an object that will not get ready by itself, DeadlineExceeded
 * with what is missing after `millis`.
 */
export async function awaitReady(
  cluster: ClusterClient,
  environment: Environment,
  places: readonly ReadyTarget[],
  millis: number,
): Promise<void> {
  const { clock, signal, stderr } = environment
  const progress = new Progress(stderr)
  const open = new Map<ReadyTarget, string>()
  const ready: string[] = []
  const show = (): void => {
    const texts = [...open.values()].filter((text) => text !== '')
    if (texts.length > 0)
      progress.update(
        texts.length === 1 ? texts[0]! : `${places.length - open.size} of ${places.length} ready; ${texts[0]!}`,
      )
  }
  const missing = (): string =>
    `not ready after ${formatAge(millis)}: ${[...open].map(([{ kind, name }, text]) => text || `${kindWord(kind)}/${name}`).join('; ')}`
  try {
    await withDeadline(clock, millis, signal, missing, async (limited) => {
      for (const place of places) open.set(place, '')
      const answers = await Promise.allSettled(
        places.map(async (place) => {
          const text = await awaitOne(cluster, environment, place, limited, (text) => {
            open.set(place, text)
            show()
          })
          if (KINDS_WITH_READINESS.has(place.kind)) ready.push(text)
          open.delete(place)
          show()
        }),
      )
      limited.throwIfAborted()
      throwFailures(
        answers.flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : [])),
      )
    })
  } finally {
    progress.clear()
  }
  if (ready.length > 0) stderr.write(`${ready.length === 1 ? ready[0]! : `all ${ready.length} are ready`}\n`)
}

async function awaitOne(
  cluster: ClusterClient,
  { clock }: Environment,
  { kind, namespace, name }: ReadyTarget,
  signal: AbortSignal,
  waiting: (text: string) => void,
): Promise<string> {
  for await (const object of observe(cluster, clock, kind, namespace, name, signal)) {
    if (object === undefined) throw notFound(kind, namespace, name)
    const readiness = readinessOf(object)
    if (readiness.is === 'ready') return readiness.text
    if (readiness.is === 'failed') {
      waiting(readiness.text) // others may still be waited for until time is up
      throw new GantryError('FailedPrecondition', readiness.text, {
        details: [{ remedy: `\`gantry describe ${kind.toLowerCase()} ${name} -n ${namespace}\` tells more` }],
      })
    }
    waiting(readiness.text)
  }
  throw new GantryError('Unavailable', `${kindWord(kind)}/${name} could not be followed`)
}
