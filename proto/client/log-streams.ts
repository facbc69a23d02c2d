/** Logs of several containers as one. */
import { GantryError } from '../base/errors.ts'
import type { Input } from '../codec/wire.ts'
import type { LogsRequest } from '../gen/types.ts'
import type { ClusterClient } from './cluster.ts'

export interface LogSource {
  /** Before each line, if wanted. */
  readonly label: string
  readonly request: Input<LogsRequest>
  /** What the container waited for when it was last seen; '' if for nothing. Told if it has no log. */
  readonly waitingReason: string
}

export interface LogOptions {
  readonly prefix: boolean
  readonly timestamps: boolean
}

/**
 * Hands on each as it comes, whole lines at a time; resolves with what failed once all have ended. One that fails does
 * not end the others.
 */
export async function copyLogs(
  cluster: ClusterClient,
  sources: readonly LogSource[],
  options: LogOptions,
  write: (data: string | Uint8Array) => void,
): Promise<GantryError[]> {
  return readAll(sources, async (source) => {
    if (!options.prefix && sources.length === 1) {
      for await (const bytes of cluster.logs(source.request)) write(bytes)
      return
    }
    for await (const line of linesOf(cluster.logs(source.request)))
      write(`${options.prefix ? source.label : ''}${line}`)
  })
}

interface TimedLine {
  readonly time: string
  readonly text: string
}

/** What is there now, in the order of time, and what failed. */
export async function mergeLogs(
  cluster: ClusterClient,
  sources: readonly LogSource[],
  options: LogOptions,
): Promise<{ readonly text: string; readonly failures: readonly GantryError[] }> {
  const lists: TimedLine[][] = sources.map(() => [])
  const failures = await readAll(sources, async (source, index) => {
    // The times are asked for only to order by: they must not count towards the limit.
    let left = source.request.limitBytes ?? Infinity
    for await (const line of linesOf(cluster.logs({ ...source.request, timestamps: true, limitBytes: undefined }))) {
      const at = line.indexOf(' ')
      const whole = options.timestamps ? line : line.slice(at + 1)
      const size = Buffer.byteLength(whole)
      const text = size <= left ? whole : Buffer.from(whole).subarray(0, left).toString('utf8')
      left -= size
      lists[index]!.push({
        time: line.slice(0, at).replace('Z', ''),
        text: `${options.prefix ? source.label : ''}${text.endsWith('\n') ? text : `${text}\n`}`,
      })
      if (left <= 0) break
    }
  })
  // Times are RFC 3339 in UTC: without the Z their order is that of the text, however many digits there are. Lines of
  // one container keep theirs.
  const merged = lists.flat().sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
  return { text: merged.map(({ text }) => text).join(''), failures }
}

async function readAll(
  sources: readonly LogSource[],
  read: (source: LogSource, index: number) => Promise<void>,
): Promise<GantryError[]> {
  const answers = await Promise.allSettled(sources.map(read))
  return answers.flatMap((answer, index) => {
    if (answer.status === 'fulfilled') return []
    const failure = GantryError.from(answer.reason)
    const { waitingReason: waits } = sources[index]!
    return [
      failure.code === 'FailedPrecondition' && waits !== ''
        ? new GantryError(failure.code, `${failure.message}: ${waits}`, { details: failure.details, cause: failure })
        : failure,
    ]
  })
}

/** Lines with their newline; the last may be without. A character cut in two by a chunk's end is put together again. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    const bytes = Buffer.concat([rest, chunk])
    const end = bytes.lastIndexOf(10) + 1
    rest = bytes.subarray(end)
    if (end > 0)
      yield* (
        bytes
          .subarray(0, end)
          .toString('utf8')
          .match(/[^\n]*\n/g) ?? []
      )
  }
  if (rest.length > 0) yield rest.toString('utf8')
}
