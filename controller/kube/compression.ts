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
 * The body compressed with gzip, if the client takes that and the body is long; in another thread, so that nobody else
 * waits for it.
 */
export function compressed(
  acceptEncoding: string | string[] | undefined,
  body: Uint8Array | string,
): Promise<Buffer> | undefined {
  if (acceptEncoding === undefined || body.length < THRESHOLD || !takesGzip(String(acceptEncoding))) return undefined
  if (typeof body === 'string') return deflate(body, { level: LEVEL })
  let made = known.get(body)
  if (made === undefined) known.set(body, (made = deflate(body, { level: LEVEL })))
  return made
}

/** RFC 9110, section 12.5.3. */
function takesGzip(header: string): boolean {
  return header.split(',').some((clause) => {
    const [coding = '', ...parameters] = clause.split(';').map((part) => part.trim().toLowerCase())
    return (coding === 'gzip' || coding === '*') && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
  })
}
