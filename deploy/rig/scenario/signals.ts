/** Signals of work that stands in other work. */
import { setMaxListeners } from 'node:events'

/** Aborted as soon as one of them is; any number of steps may listen. */
export function linked(...signals: readonly AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any([...signals])
  setMaxListeners(0, signal)
  return signal
}

/** The call's answer, or the signal's reason as soon as it is aborted; the call goes on unheard. */
export function untilAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    call.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
