/** Which controller a kubeconfig names: it has room for one only. */
import { connect } from 'node:net'

/** Milliseconds that a controller has to take a connection. */
const CONNECT_TIMEOUT_MS = 1_000

/**
 * The first of host:port, in their order, that takes a connection; undefined if none does. What is under way ends with
 * the signal.
 */
export async function firstReachable(addresses: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  const reached = await Promise.all(addresses.map((address) => isReachable(address, signal)))
  return addresses.find((_, index) => reached[index])
}

function isReachable(address: string, signal: AbortSignal): Promise<boolean> {
  const { host, port } = /^\[?(?<host>.*?)\]?:(?<port>\d+)$/.exec(address)!.groups as { host: string; port: string }
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), signal, timeout: CONNECT_TIMEOUT_MS })
    const end = (reached: boolean) => (): void => {
      socket.destroy()
      resolve(reached)
    }
    socket.once('connect', end(true)).once('timeout', end(false)).once('error', end(false))
  })
}
