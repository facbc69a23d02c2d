/**
 * Long bodies go out in chunks. TLS encrypts what it is handed as a whole before it sends any of it, into memory that
 * the system has to find and clear first: handed in chunks, the client reads the first while the next is encrypted, and
 * the same memory serves for all.
 */
import type { ServerResponse } from 'node:http'

/** Bytes of a body that are handed to the connection at once. */
export const CHUNK_SIZE = 128 * 1024
/** Buffers that are kept for the next long body. */
const SPARE_BUFFERS = 4

const spare: Buffer[] = []

/**
 * Writes all of the pieces, joined to chunks. Resolves once the connection has taken the last, or is gone; the answer
 * is still to be ended.
 */
export async function writeChunks(response: ServerResponse, pieces: readonly Uint8Array[]): Promise<void> {
  const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_SIZE)
  let length = 0
  for (const piece of pieces) {
    let at = 0
    while (at < piece.length) {
      // What is long by itself need not be joined with anything.
      if (length === 0 && piece.length - at >= CHUNK_SIZE) {
        if (!(await written(response, piece.subarray(at, (at += CHUNK_SIZE))))) return
        continue
      }
      const part = piece.subarray(at, at + CHUNK_SIZE - length)
      buffer.set(part, length)
      at += part.length
      length += part.length
      if (length < CHUNK_SIZE) continue
      if (!(await written(response, buffer))) return
      length = 0
    }
  }
  if (length > 0 && !(await written(response, buffer.subarray(0, length)))) return
  if (spare.length < SPARE_BUFFERS) spare.push(buffer)
}

/** True once the connection has taken the bytes, whose memory may then be used again; false if it is gone. */
function written(response: ServerResponse, bytes: Uint8Array): Promise<boolean> {
  if (response.destroyed || response.closed) return Promise.resolve(false)
  return new Promise((resolve) => {
    const gone = (): void => resolve(false)
    response.once('close', gone)
    response.write(bytes, (error) => {
      response.off('close', gone)
      resolve(error === undefined || error === null)
    })
  })
}
