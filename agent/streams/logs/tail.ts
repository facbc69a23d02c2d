/** The last lines of a log, found by reading backwards: the length of the log does not matter. */
import { open, type FileHandle } from 'node:fs/promises'
import { GantryError } from '../../../proto/base/errors.ts'
import { parseLine, type LogLine } from './line.ts'

const BLOCK = 64 * 1024

/** The file, or undefined if it is not there. */
export async function openLog(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (error.code === 'NotFound') return undefined
    throw error
  }
}

/**
 * Where the last `count` lines begin, as byte offset from the start of the first file; files are given oldest first.
 * Parts of one line count once.
 */
export async function tailStart(
  paths: readonly string[],
  count: number,
): Promise<{ readonly file: number; readonly offset: number }> {
  if (count <= 0) return { file: paths.length - 1, offset: Infinity }
  let found = 0
  for (let file = paths.length - 1; file >= 0; file--) {
    const handle = await openLog(paths[file]!)
    if (handle === undefined) continue
    try {
      for await (const { end, line } of entriesBackwards(handle)) {
        if (line?.whole === true && ++found > count) return { file, offset: end }
      }
    } finally {
      await handle.close()
    }
  }
  return { file: 0, offset: 0 }
}

/** The last lines themselves, no further back than to have `bytes` of content: a line may be as long as the log. */
export async function tailLines(paths: readonly string[], count: number, bytes: number): Promise<LogLine[]> {
  const lines: LogLine[] = []
  let whole = 0
  let size = 0
  for (const path of [...paths].reverse()) {
    const handle = await openLog(path)
    if (handle === undefined) continue
    try {
      for await (const { line } of entriesBackwards(handle)) {
        if (line === undefined) continue
        if (size >= bytes || (line.whole && ++whole > count)) return lines.reverse()
        lines.push(line)
        size += line.content.length
      }
    } finally {
      await handle.close()
    }
  }
  return lines.reverse()
}

/** Entries from the end to the beginning, each with the offset at which it ends (its newline included). */
async function* entriesBackwards(
  handle: FileHandle,
): AsyncGenerator<{ readonly end: number; readonly line: LogLine | undefined }> {
  let position = (await handle.stat()).size
  let rest: Buffer = Buffer.alloc(0)
  /** Offset of the end of `rest`, just behind the newline of its last entry. */
  let end = position
  while (position > 0) {
    const size = Math.min(BLOCK, position)
    position -= size
    const block = Buffer.alloc(size)
    await handle.read(block, 0, size, position)
    rest = Buffer.concat([block, rest])
    for (let newline = lastEnd(rest); newline >= 0; newline = lastEnd(rest)) {
      const entry = rest.subarray(newline + 1)
      yield { end, line: lineOf(entry) }
      end -= entry.length
      rest = rest.subarray(0, newline + 1)
    }
  }
  if (rest.length > 0) yield { end, line: lineOf(rest) }
}

/** The newline before the last entry, whose own newline is the last byte; -1 if there is none. */
function lastEnd(bytes: Buffer): number {
  return bytes.length < 2 ? -1 : bytes.lastIndexOf(0x0a, bytes.length - 2)
}

/** An entry without a newline at its end is not complete yet. */
function lineOf(entry: Buffer): LogLine | undefined {
  return entry.at(-1) === 0x0a ? parseLine(entry.subarray(0, -1)) : undefined
}
