/** The end of a file that grows. */
import { open } from 'node:fs/promises'

/** Its last bytes, `most` of them, as text; '' if it is not there. */
export async function readTail(path: string, most: number): Promise<string> {
  let file
  try {
    file = await open(path)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw thrown
  }
  try {
    const { size } = await file.stat()
    const length = Math.min(size, most)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.subarray(0, bytesRead).toString()
  } finally {
    await file.close()
  }
}
