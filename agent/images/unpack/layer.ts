/**
 * A layer's blob made into files. The archive is read here, checked and rewritten entry by entry (layer-tree.ts), and
 * what comes out is written by one `tar` process: it alone sets owners, modes, times, devices and attributes, away from
 * the event loop. Nothing in the rewritten archive leads outside of its directory, so tar need not distrust it.
 */
import { createHash } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { GantryError } from '../../../proto/base/errors.ts'
import { ByteReader } from './byte-reader.ts'
import { decompressed } from './decompress.ts'
import { LayerTree, type LowerLayers } from './layer-tree.ts'
import { startProgram } from './program-stream.ts'
import { TarReader } from './tar-reader.ts'
import { encodeHeader, END_OF_ARCHIVE, padding } from './tar-writer.ts'
import { UnpackBudget } from './unpack-budget.ts'

export interface LayerSource {
  /** Of the blob, for messages. */
  readonly digest: string
  /** Of the archive, uncompressed: what the image's config says. */
  readonly diffId: string
  /** The blob's bytes: a tar archive, plain or compressed by gzip or zstd, which its first bytes tell. */
  open(): Readable
}

/** Bytes handed to tar at once. */
const TAR_CHUNK_BYTES = 128 << 10
const TAR_ARGUMENTS = [
  '--extract',
  '--file=-',
  '--absolute-names',
  '--same-permissions',
  '--same-owner',
  '--numeric-owner',
  '--delay-directory-restore',
  '--xattrs',
  '--xattrs-include=*',
]
/** With less than this left, a failed tar failed for want of space. */
const FULL_BYTES = 1 << 20

/**
 * Unpacks a layer into an empty directory. Returns the directories that hide what is below them. After a failure the
 * directory holds rubbish. InvalidArgument: damaged, truncated, against the rules, more than the budget has, or not
 * what `diffId` says; ResourceExhausted: the disk is full, or nearly.
 */
export async function unpackLayer(
  source: LayerSource,
  directory: string,
  lower: LowerLayers,
  signal: AbortSignal,
  budget: UnpackBudget = new UnpackBudget(),
): Promise<{ readonly opaque: readonly string[] }> {
  const digest = createHash('sha256')
  const tree = new LayerTree(lower, budget)
  let opaque: readonly string[] = []

  async function* rewrite(): AsyncGenerator<Buffer> {
    const reader = new ByteReader(hashed(bounded(decompressed(source.open(), signal), budget, directory), digest))
    try {
      const tar = new TarReader(reader)
      for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
        for (const written of await tree.add(entry)) {
          yield encodeHeader(written)
          if (written.type !== 'file') continue
          yield* tar.content(entry)
          yield padding(entry.size)
        }
      }
      const end = await tree.finish()
      opaque = end.opaque
      for (const entry of end.entries) yield encodeHeader(entry)
      yield END_OF_ARCHIVE
      await reader.drain()
      const diffId = `sha256:${digest.digest('hex')}`
      if (diffId !== source.diffId)
        throw new GantryError(
          'InvalidArgument',
          `has the uncompressed digest ${diffId}, while the image's config says ${source.diffId}`,
        )
    } finally {
      await reader.close()
    }
  }

  const tar = startProgram('tar', [...TAR_ARGUMENTS, `--directory=${directory}`], signal)
  tar.output.resume()
  const [fed, ended] = await Promise.allSettled([pipeline(batched(rewrite()), tar.input, { signal }), tar.ended])
  if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
  // A tar that ends early shows as a broken pipe here: then its own words count.
  if (fed.status === 'rejected' && (ended.status === 'fulfilled' || !isBrokenPipe(fed.reason)))
    throw inLayer(source.digest, fed.reason)
  if (ended.status === 'rejected')
    throw (await isFull(directory))
      ? new GantryError('ResourceExhausted', `no space left on disk to unpack layer ${source.digest}`, {
          cause: ended.reason,
        })
      : inLayer(source.digest, ended.reason)
  return { opaque }
}

/** All that comes out of the blob counts, also what stands behind the archive's end. */
async function* bounded(
  stream: AsyncIterable<Buffer>,
  budget: UnpackBudget,
  directory: string,
): AsyncGenerator<Buffer> {
  for await (const chunk of stream) {
    await budget.takeBytes(chunk.length, directory)
    yield chunk
  }
}

async function* hashed(
  stream: AsyncIterable<Buffer>,
  hash: { update(chunk: Buffer): unknown },
): AsyncGenerator<Buffer> {
  for await (const chunk of stream) {
    hash.update(chunk)
    yield chunk
  }
}

/** Small pieces joined, so that the pipe to tar is not written to once for each header. */
async function* batched(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let batch: Buffer[] = []
  let size = 0
  for await (const piece of pieces) {
    batch.push(piece)
    size += piece.length
    if (size < TAR_CHUNK_BYTES) continue
    yield Buffer.concat(batch)
    batch = []
    size = 0
  }
  yield Buffer.concat(batch)
}

/** The error, naming the layer. What zlib and zstd say of a damaged stream is the layer's fault. */
function inLayer(digest: string, thrown: unknown): GantryError {
  const damaged = thrown instanceof Error && ((thrown as NodeJS.ErrnoException).code ?? '').startsWith('Z_')
  const error = damaged
    ? new GantryError('InvalidArgument', `is damaged: ${thrown.message}`, { cause: thrown })
    : GantryError.from(thrown)
  return new GantryError(error.code, `layer ${digest} ${error.message}`, {
    details: [{ field: 'layer', value: digest, message: error.message }, ...error.details],
    cause: thrown,
  })
}

function isBrokenPipe(thrown: unknown): boolean {
  return ['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET'].includes((thrown as NodeJS.ErrnoException).code ?? '')
}

async function isFull(directory: string): Promise<boolean> {
  const { bavail, bsize, ffree, files } = await statfs(directory)
  return bavail * bsize < FULL_BYTES || (files > 0 && ffree === 0)
}
