/** What answers the probes of other nodes: what is sent comes back, over TCP and UDP, IPv4 and IPv6. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'

/** Of RFC 862. The network namespace is the check's own. */
export const ECHO_PORT = 7

export interface Echo {
  readonly port: number
  close(): void
}

/** Listens on every address; port 0 chooses one. */
export async function startEcho(port: number, families: readonly (4 | 6)[]): Promise<Echo> {
  const host = families.includes(6) ? '::' : '0.0.0.0'
  const server: Server = createServer((socket) => {
    socket.on('error', () => socket.destroy()) // who asked has gone
    socket.pipe(socket)
  })
  server.listen({ host, port })
  await once(server, 'listening')
  const bound = (server.address() as { port: number }).port
  const sockets = await Promise.all(families.map((family) => echoDatagrams(family, bound)))
  return {
    port: bound,
    close: () => {
      server.close()
      for (const socket of sockets) socket.close()
    },
  }
}

async function echoDatagrams(family: 4 | 6, port: number): Promise<Socket> {
  const socket = createSocket({ type: `udp${family}`, ipv6Only: family === 6 })
  // An answer that cannot be sent is none: the asker tells.
  socket.on('message', (message, from) => socket.send(message, from.port, from.address, () => undefined))
  socket.bind(port)
  await once(socket, 'listening')
  return socket
}
