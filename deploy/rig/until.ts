/** Waiting for an object of a rig's cluster. */
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { readinessOf } from '../../proto/client/kinds/registry.ts'
import { isIn, parseWaitCondition } from '../../proto/client/wait-condition.ts'
import { observe } from '../../proto/client/follow.ts'
import { withDeadline } from '../../proto/base/deadline.ts'
import { kindWord } from '../../proto/client/kind-words.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { delay, systemClock, type Clock } from '../../proto/base/clock.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { ObjectKey } from '../../proto/client/object-key.ts'

/**
 * What is waited for:
 * - `Ready`: a pod that is ready or has succeeded, a workload whose newest version is wholly rolled out and available,
 *   a node that is Ready, anything else that exists;
 * - `Running`: a pod in this phase; a workload as by `Ready`;
 * - `Deleted`, `Created`;
 * - `{.status.phase}=Running`, `jsonpath={…}=VALUE`: one value; without `=VALUE`, that there is one;
 * - `Available`, `Available=False`, `condition=…`: a condition of the object's present generation;
 * - a function, true for an object that will do.
 */
export type Goal = string | ((object: AnyResource) => boolean)

type Check = (object: AnyResource | undefined) => boolean

/** InvalidArgument for words that are none of the above. */
export function checkOf(goal: Goal): Check {
  if (typeof goal === 'function') return (object) => object !== undefined && goal(object)
  if (typeof goal !== 'string')
    throw new GantryError(
      'InvalidArgument',
      `until: what is waited for is text, such as "Ready", or a function, not ${JSON.stringify(goal)}`,
      { details: [{ field: 'goal', value: String(goal) }] },
    )
  switch (goal.toLowerCase()) {
    case 'deleted':
    case 'delete':
      return (object) => object === undefined
    case 'created':
    case 'create':
      return (object) => object !== undefined
    case 'ready':
      return (object) => object !== undefined && isReady(object)
    case 'running':
      return (object) =>
        object !== undefined && (object.kind === 'Pod' ? object.status.phase === 'Running' : isReady(object))
  }
  const wanted = parseWaitCondition(
    /^(condition|jsonpath)=/i.test(goal) ? goal : goal.startsWith('{') ? `jsonpath=${goal}` : `condition=${goal}`,
  )
  return (object) => isIn(object, wanted)
}

function isReady(object: AnyResource): boolean {
  return readinessOf(object).is === 'ready'
}

/**
 * The object once it is as wanted, undefined once it is deleted if that is wanted. One that is not there yet is waited
 * for. DeadlineExceeded, with what it was like last, after `timeout` milliseconds.
 */
export async function awaitObject(
  cluster: ClusterClient,
  { kind, namespace, name }: ObjectKey,
  goal: Goal,
  timeout: number,
  signal: AbortSignal,
): Promise<AnyResource | undefined> {
  const reached = checkOf(goal)
  const word = `${kindWord(kind)}/${name}`
  const wanted = typeof goal === 'function' ? 'as wanted' : goal
  let last: AnyResource | undefined
  const late = (): string =>
    `after ${timeout / 1000} s ${word} is not ${wanted}: ${last === undefined ? 'it does not exist' : readinessOf(last).text}`
  return withDeadline(systemClock, timeout, signal, late, async (limited) => {
    for await (const object of observe(cluster, systemClock, kind, namespace, name, limited)) {
      last = object
      if (reached(object)) return object
    }
    return limited.throwIfAborted() as undefined
  })
}

/** Milliseconds between two questions. */
const ASK_AGAIN = 50

/** See `Rig.eventually`. */
export async function eventually(
  probe: () => unknown,
  clock: Clock,
  timeout: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = clock.monotonic() + timeout
  for (;;) {
    const answer = await answerOf(probe)
    if (answer === true) return
    if (clock.monotonic() >= deadline) {
      throw answer instanceof Error
        ? new GantryError('DeadlineExceeded', `after ${timeout / 1000} s it is still not so: ${answer.message}`, {
            cause: answer,
          })
        : new GantryError(
            'DeadlineExceeded',
            `after ${timeout / 1000} s it is still not so; the last answer was ${typeof answer === 'string' ? answer : (JSON.stringify(answer) ?? 'undefined')}`,
          )
    }
    await delay(clock, ASK_AGAIN, signal)
  }
}

async function answerOf(probe: () => unknown): Promise<unknown> {
  try {
    return await probe()
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(String(thrown))
  }
}
