/**
 * Answers that are long go out compressed to who takes that, as Kubernetes has it. Documents that are sent again and
 * again are compressed once.
 */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

/** Bytes from which on it is worth it, and the effort: the quickest. */
const THRESHOLD = 128 * 1024
const LEVEL = 1

const deflate = promisify(gzip)
/** Of bodies that may come again: a cached document is one and the same array. */
const known = new WeakMap<Uint8Array, Promise<Buffer>>()

/**
 * The body, which comes in pieces, compressed with gzip, if the client takes that and the body is long; in another
 * thread, so that nobody else waits for it.
 */
export function compressed(
  acceptEncoding: string | string[] | undefined,
  pieces: readonly Uint8Array[],
): Promise<Buffer> | undefined {
  if (acceptEncoding === undefined || !takesGzip(String(acceptEncoding))) return undefined
  if (pieces.reduce((sum, piece) => sum + piece.length, 0) < THRESHOLD) return undefined
  const [first] = pieces as [Uint8Array]
  if (pieces.length > 1) return deflate(Buffer.concat(pieces), { level: LEVEL })
  let made = known.get(first)
  if (made === undefined) known.set(first, (made = deflate(first, { level: LEVEL })))
  return made
}

/** RFC 9110, section 12.5.3. */
function takesGzip(header: string): boolean {
  return header.split(',').some((clause) => {
    const [coding = '', ...parameters] = clause.split(';').map((part) => part.trim().toLowerCase())
    return (coding === 'gzip' || coding === '*') && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
  })
}
