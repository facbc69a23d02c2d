/** Streams that may be compressed, as their first bytes tell: by gzip (RFC 1952), by zstd (RFC 8878), or not at all. */
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { GantryError } from '../../../proto/base/errors.ts'
import { startProgram, type ProgramStream } from './program-stream.ts'

/**
 * The bytes within. Gzip runs in Node's thread pool, zstd as a process. InvalidArgument, or an error of zlib (code
 * Z_…), for a damaged stream.
 */
export async function* decompressed(blob: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer> {
  const chunks = blob[Symbol.asyncIterator]()
  const first = await chunks.next()
  if (first.done === true) return
  const whole = resumed(first.value, chunks)
  if (first.value[0] === 0x1f && first.value[1] === 0x8b) {
    const gunzip = createGunzip({ chunkSize: 128 << 10 })
    yield* fedBy(pipeline(whole, gunzip, { signal }), gunzip)
  } else if (first.value.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))) {
    const zstd = startProgram('zstd', ['--decompress', '--stdout', '--quiet'], signal)
    yield* fedBy(feedZstd(zstd, whole, signal), zstd.output)
  } else {
    yield* whole
  }
}

/** A zstd that gives up says why better than the pipe that it broke. */
async function feedZstd(zstd: ProgramStream, blob: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
  const [ended, fed] = await Promise.allSettled([zstd.ended, pipeline(blob, zstd.input, { signal })])
  if (ended.status === 'rejected')
    throw GantryError.is(ended.reason, 'Internal')
      ? new GantryError('InvalidArgument', `is damaged: ${ended.reason.message}`, { cause: ended.reason })
      : ended.reason
  if (fed.status === 'rejected') throw fed.reason
}

/** What comes out of a transformation, and its failure if it fails. */
async function* fedBy(feeding: Promise<unknown>, output: Readable): AsyncGenerator<Buffer> {
  const fed = feeding.then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  try {
    yield* output as AsyncIterable<Buffer>
  } catch (error) {
    throw (await fed)?.error ?? error
  } finally {
    output.destroy()
  }
  const failure = await fed
  if (failure !== undefined) throw failure.error
}

async function* resumed(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first
    for (let chunk = await rest.next(); chunk.done !== true; chunk = await rest.next()) yield chunk.value
  } finally {
    await rest.return?.()
  }
}
