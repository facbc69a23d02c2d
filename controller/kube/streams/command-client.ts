/** A client that runs a command or is attached to a container, whatever protocol it speaks. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Channel } from '../../../proto/base/channel.ts'
import type { ExecInput, JsonObject } from '../../../proto/gen/types.ts'

/** What is joined, as the query says. */
export interface JoinedStreams {
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

export interface CommandClient {
  /**
   * What is typed, its end, and the terminal's size: no faster than it is taken. Fails with what the client does wrong.
   */
  readonly inputs: Channel<ExecInput>
  /** Resolves when the connection has taken it; a stream that was not asked for drops it. */
  write(stream: 'stdout' | 'stderr', data: Uint8Array): Promise<void>
  /** How it ended, a Status; then the connection is closed. Resolves when it is, whoever closed it. */
  finish(status: JsonObject): Promise<void>
}

/** Pieces of input that wait at most; then the client is made to wait. */
export const MAX_PENDING_INPUTS = 4
/** Bytes of a piece of input at most. */
const MAX_INPUT_BYTES = 64 * 1024

export function pieces(data: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.ceil(data.length / MAX_INPUT_BYTES) }, (_, at) =>
    data.subarray(at * MAX_INPUT_BYTES, (at + 1) * MAX_INPUT_BYTES),
  )
}

/**
 * From {"Width":80,"Height":24}. A size of nothing, as of a terminal that is not there yet, is none. InvalidArgument
 * for anything else.
 */
export function resizeInputs(text: string): ExecInput[] {
  let size: { Width?: unknown; Height?: unknown } | null | undefined
  try {
    size = JSON.parse(text) as typeof size
  } catch {
    // Told below, as any other text that is no size.
  }
  const [width, height] = [size?.Width, size?.Height]
  if (!isSize(width) || !isSize(height))
    throw new GantryError('InvalidArgument', 'a terminal\'s size is {"Width":COLUMNS,"Height":ROWS}, each up to 65535')
  return width === 0 || height === 0 ? [] : [{ input: { case: 'resize', value: { width, height } } }]
}

function isSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff
}

/** In words, for protocols that know no Status: '' for success. */
export function failureText(status: JsonObject): string {
  return status['status'] === 'Success' ? '' : String(status['message'])
}
