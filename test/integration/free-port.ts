/** Ports on loopback for those who must be told theirs before they listen. */
import { createServer } from 'node:net'
import { systemRandom } from '../../proto/base/random.ts'

/**
 * Below those that the kernel gives to connections and to `listen(0)` (from 32768): such a one may be somebody's by the
 * time it is listened on, also that of a client which tries to connect to that very port. And below those of NodePorts.
 */
const [FIRST, END] = [12_000, 30_000]

/**
 * As many different ones as asked for that nobody listens on now, on any address: all are held until the last is known.
 */
export async function freePorts(count: number): Promise<number[]> {
  const held = new Map<number, () => Promise<void>>()
  while (held.size < count) {
    const port = FIRST + Math.floor(systemRandom.next() * (END - FIRST))
    const release = held.has(port) ? undefined : await hold(port)
    if (release !== undefined) held.set(port, release)
  }
  await Promise.all([...held.values()].map((release) => release()))
  return [...held.keys()]
}

export async function freePort(): Promise<number> {
  return (await freePorts(1))[0]!
}

/** The first of as many that follow each other. */
export async function freePortRange(count: number): Promise<number> {
  for (;;) {
    const first = FIRST + Math.floor(systemRandom.next() * (END - FIRST - count))
    const held = await Promise.all(Array.from({ length: count }, (_, index) => hold(first + index)))
    await Promise.all(held.flatMap((release) => release?.() ?? []))
    if (held.every((release) => release !== undefined)) return first
  }
}

/** Undefined if somebody has it. */
function hold(port: number): Promise<(() => Promise<void>) | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    )
    server.listen(port, '::', () => resolve(() => new Promise((released) => server.close(() => released()))))
  })
}
