/** A connection that is opened and closed at once: nothing is sent. */
import { connect } from 'node:net'

/** Rejects when it cannot be opened, and with the signal's reason when that is aborted. */
export function tcpConnect(host: string, port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error)
    const socket = connect({ host, port })
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      settle()
    }
    const abort = (): void => end(() => reject(signal.reason as Error))
    signal.addEventListener('abort', abort, { once: true })
    socket.once('connect', () => end(resolve))
    socket.on('error', (error) => end(() => reject(error)))
  })
}
