/** The log of a container's present, last or previous instance, as a request asks for it. */
import type { Clock } from '../../../proto/base/clock.ts'
import { parseTime } from '../../../proto/base/time.ts'
import type { LogsRequest } from '../../../proto/gen/types.ts'
import type { StreamTarget } from '../target.ts'
import { readLog } from './log-reader.ts'

/** Whole lines. Errors: those of StreamTarget.logged. */
export async function* containerLog(
  target: StreamTarget,
  request: LogsRequest,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const instance = target.logged(request.container, request.previous)
  const { stream } = request
  yield* readLog(
    {
      path: target.logPath(instance),
      ended: () => !target.lives(instance),
      onChange: (handler) => target.onChange(handler),
    },
    {
      tail: request.tailLines,
      since: sinceOf(request, clock.now()),
      timestamps: request.timestamps,
      limit: request.limitBytes,
      follow: request.follow,
      stream: stream === 'stdout' || stream === 'stderr' ? stream : undefined,
    },
    signal,
  )
}

/** Milliseconds since 1970 of the first line that is asked for; undefined: all. */
function sinceOf({ sinceTime, sinceSeconds }: LogsRequest, now: number): number | undefined {
  if (sinceTime !== '') return parseTime(sinceTime)
  return sinceSeconds === undefined ? undefined : now - sinceSeconds * 1000
}
