/** Backpressure of streams, for who writes piece by piece. */
import type { Writable } from 'node:stream'

/** Resolves when the stream takes more, or is gone; at once if it takes more now. Leaves no listener behind. */
export function waitForDrain(stream: Writable): Promise<void> {
  if (!stream.writableNeedDrain || stream.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.once('drain', done)
    stream.once('close', done)
  })
}
