/**
 * Lines of container logs as the runtime writes them: `TIME STREAM TAG CONTENT`, TAG `P` for a part of a longer line,
 * `F` for its last part.
 * https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
 */

export interface LogLine {
  /** RFC 3339 with nanoseconds, as written. */
  readonly time: string
  readonly stream: 'stdout' | 'stderr'
  /** False: the line goes on in the next entry of its stream. */
  readonly whole: boolean
  /** With its newline if it is whole. */
  readonly content: Uint8Array
}

const SPACE = 0x20
const NEWLINE = Buffer.from('\n')

/** An entry without its newline; undefined for what is none (cut by a crash in the middle of a write). */
export function parseLine(entry: Buffer): LogLine | undefined {
  const first = entry.indexOf(SPACE)
  const second = entry.indexOf(SPACE, first + 1)
  const third = entry.indexOf(SPACE, second + 1)
  if (first < 0 || second < 0 || third < 0) return undefined
  const stream = entry.toString('latin1', first + 1, second)
  if (stream !== 'stdout' && stream !== 'stderr') return undefined
  const whole = entry.toString('latin1', second + 1, third).split(':')[0] !== 'P'
  const content = entry.subarray(third + 1)
  return {
    time: entry.toString('latin1', 0, first),
    stream,
    whole,
    content: whole ? Buffer.concat([content, NEWLINE]) : content,
  }
}

/** Gathers bytes into entries; what follows the last newline waits for more. */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0)

  /** Bytes not yet part of a complete entry. */
  get pending(): number {
    return this.#rest.length
  }

  push(chunk: Buffer): LogLine[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const lines: LogLine[] = []
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a)) {
      const line = parseLine(bytes.subarray(0, end))
      if (line !== undefined) lines.push(line)
      bytes = bytes.subarray(end + 1)
    }
    this.#rest = Buffer.from(bytes)
    return lines
  }
}
