/** Servers on a port that the system chooses. */
import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'

/** The port, once it is listened on. */
export async function listen(server: Server, host: string): Promise<number> {
  server.listen(0, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
