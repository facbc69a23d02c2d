/** Reads an instance's log from its files, and follows it across rotation until the instance has ended. */
import { watch } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { LineSplitter, type LogLine } from './line.ts'
import { logFiles } from './log-files.ts'
import { openLog, tailStart } from './tail.ts'

export interface LogOptions {
  /** Lines from the end; undefined: all. */
  readonly tail: number | undefined
  /** Milliseconds since 1970: nothing older. */
  readonly since: number | undefined
  readonly timestamps: boolean
  /** Bytes at most. */
  readonly limit: number | undefined
  readonly follow: boolean
  /** Only what was written there; undefined: to both. */
  readonly stream?: LogLine['stream'] | undefined
}

/** The instance whose log it is. */
export interface LogSource {
  /** Path of the live file. */
  readonly path: string
  /** Nothing more will be written. */
  ended(): boolean
  /** Calls when `ended` may have changed; returns the call that stops it. */
  onChange(handler: () => void): () => void
}

const BLOCK = 64 * 1024
/** A line longer than this is handed out in pieces. */
const PIECE_LIMIT = 1024 * 1024

/**
 * Chunks of whole lines. Ends at the log's end, with `follow` once the instance has ended, or when the signal is
 * aborted.
 */
export async function* readLog(
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const formatter = new LineFormatter(options)
  const news = options.follow ? new LogChangeWaiter(source, signal) : undefined
  try {
    for await (const lines of logLines(source, options, news, signal)) {
      const chunk = formatter.format(lines)
      if (chunk.length > 0) yield chunk
      if (formatter.full) return
    }
    const last = formatter.flush()
    if (last.length > 0) yield last
  } finally {
    news?.close()
  }
}

/**
 * What is written, piece by piece as it comes: an unfinished line too, such as a prompt. From the log's beginning or
 * from now on; ends with the instance. `begun` is called once it is settled where that is: nothing written from then on
 * is missed.
 */
export async function* followPieces(
  source: LogSource,
  from: 'beginning' | 'now',
  signal: AbortSignal,
  begun: () => void,
): AsyncGenerator<LogLine[], void, undefined> {
  const options = {
    tail: from === 'now' ? 0 : undefined,
    since: undefined,
    timestamps: false,
    limit: undefined,
    follow: true,
  }
  const news = new LogChangeWaiter(source, signal)
  try {
    yield* logLines(source, options, news, signal, begun)
  } finally {
    news.close()
  }
}

async function* logLines(
  source: LogSource,
  options: LogOptions,
  news: LogChangeWaiter | undefined,
  signal: AbortSignal,
  begun?: () => void,
): AsyncGenerator<LogLine[], void, undefined> {
  const paths = await logFiles(source.path)
  const start = options.tail === undefined ? { file: 0, offset: 0 } : await tailStart(paths, options.tail)
  let handle = await firstFile(paths, start.file)
  let position = handle === undefined ? 0 : Math.min(start.offset, (await handle.stat()).size)
  let splitter = new LineSplitter()
  begun?.()
  try {
    while (!signal.aborted) {
      const over = source.ended()
      if (handle === undefined) handle = await openLog(source.path)
      else {
        const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(BLOCK), 0, BLOCK, position)
        if (bytesRead > 0) {
          position += bytesRead
          yield splitter.push(buffer.subarray(0, bytesRead))
          continue
        }
        const newer = await newerFile(source.path, handle)
        if (newer !== undefined) {
          await handle.close()
          handle = newer
          position = 0
          splitter = new LineSplitter()
          continue
        }
      }
      if (news === undefined || over) return
      await news.wait()
    }
  } finally {
    await handle?.close()
  }
}

async function firstFile(paths: readonly string[], from: number): Promise<FileHandle | undefined> {
  for (const path of paths.slice(from)) {
    const handle = await openLog(path)
    if (handle !== undefined) return handle
  }
  return undefined
}

/** The file written after the one that is open, if that one was rotated away or replaced. */
async function newerFile(live: string, open: FileHandle): Promise<FileHandle | undefined> {
  const { ino, mtimeMs } = await open.stat()
  const newestFirst = (await logFiles(live)).reverse()
  let newer: FileHandle | undefined
  for (const path of newestFirst) {
    const handle = await openLog(path)
    if (handle === undefined) continue
    const stat = await handle.stat()
    // One whose last write was before that of the open file was read before it: the open one is gone altogether.
    if (stat.ino === ino || stat.mtimeMs < mtimeMs) {
      await handle.close()
      return newer
    }
    await newer?.close()
    newer = handle
  }
  return newer
}

/** Wakes who waits when the log's folder or the instance changed. */
class LogChangeWaiter {
  readonly #stop: (() => void)[] = []
  #wake: (() => void) | undefined
  #pending = false

  constructor(source: LogSource, signal: AbortSignal) {
    const tell = (): void => {
      this.#pending = true
      this.#wake?.()
    }
    const watcher = watch(dirname(source.path), tell)
    watcher.on('error', tell) // the folder went away with its pod: the next read finds out
    signal.addEventListener('abort', tell, { once: true })
    this.#stop.push(
      () => watcher.close(),
      source.onChange(tell),
      () => signal.removeEventListener('abort', tell),
    )
  }

  async wait(): Promise<void> {
    if (!this.#pending) await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#wake = undefined
    this.#pending = false
  }

  close(): void {
    for (const stop of this.#stop) stop()
  }
}

class LineFormatter {
  readonly #options: LogOptions
  /** Parts of a line that is not whole yet, by stream. */
  readonly #parts = new Map<string, { time: string; content: Uint8Array[]; size: number }>()
  #left: number

  constructor(options: LogOptions) {
    this.#options = options
    this.#left = options.limit ?? Infinity
  }

  get full(): boolean {
    return this.#left <= 0
  }

  format(lines: readonly LogLine[]): Uint8Array {
    const output: Uint8Array[] = []
    for (const line of lines) {
      if (this.#options.stream !== undefined && line.stream !== this.#options.stream) continue
      const held = this.#parts.get(line.stream) ?? { time: line.time, content: [], size: 0 }
      held.content.push(line.content)
      held.size += line.content.length
      if (!line.whole && held.size < PIECE_LIMIT) this.#parts.set(line.stream, held)
      else {
        this.#parts.delete(line.stream)
        this.#add(output, held)
      }
    }
    return this.#cut(Buffer.concat(output))
  }

  /** What was begun and not ended. */
  flush(): Uint8Array {
    const output: Uint8Array[] = []
    for (const held of this.#parts.values()) this.#add(output, held)
    this.#parts.clear()
    return this.#cut(Buffer.concat(output))
  }

  #add(output: Uint8Array[], { time, content }: { time: string; content: Uint8Array[] }): void {
    const { since, timestamps } = this.#options
    if (since !== undefined && Date.parse(time) < since) return
    if (timestamps) output.push(Buffer.from(`${time} `))
    output.push(...content)
  }

  #cut(bytes: Uint8Array): Uint8Array {
    const kept = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes
    this.#left -= kept.length
    return kept
  }
}
