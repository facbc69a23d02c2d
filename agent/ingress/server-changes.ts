/** What a worker must be told so that its servers are a backend's endpoints. Pure. */
import type { Endpoint } from './proxy-model.ts'
import type { ServerState } from './master-socket.ts'

export interface ServerChanges {
  /**
   * Addresses for places that are given no requests. They take effect a moment after they are acknowledged: `moved`
   * says when.
   */
  readonly addressChanges: readonly string[]
  /**
   * What is to be done once the addresses are in effect: additions, then withdrawals, so that no backend is empty in
   * between.
   */
  readonly commands: readonly string[]
  /** Backends without a free place for all that is new. */
  readonly overfullBackends: readonly string[]
  /** True once the servers have the addresses that `moves` gives them. */
  moved(servers: readonly ServerState[]): boolean
}

const keyOf = ({ address, port }: Endpoint): string => `${address} ${port}`

/**
 * `wanted`: endpoints by backend; servers of other backends are left alone. A server that is left gets nothing new;
 * what is under way goes on.
 */
export function serverChanges(
  servers: readonly ServerState[],
  wanted: ReadonlyMap<string, readonly Endpoint[]>,
): ServerChanges {
  const byBackend = new Map<string, ServerState[]>()
  for (const server of servers) {
    const own = byBackend.get(server.backend)
    if (own === undefined) byBackend.set(server.backend, [server])
    else own.push(server)
  }
  const moves: string[] = []
  const additions: string[] = []
  const withdrawals: string[] = []
  const crowded: string[] = []
  const places = new Map<string, string>()
  for (const [backend, endpoints] of wanted) {
    const missing = new Map(endpoints.map((endpoint) => [keyOf(endpoint), endpoint]))
    const own = byBackend.get(backend) ?? []
    const unwanted = own.filter((server) => server.enabled && !missing.delete(keyOf(server)))
    const free = own.filter((server) => !server.enabled)
    if (missing.size > free.length) crowded.push(backend)
    for (const [key, endpoint] of missing) {
      const place = takeFirst(free, (server) => keyOf(server) === key) ?? free.shift()
      if (place === undefined) break
      const name = `${backend}/${place.name}`
      places.set(name, key)
      if (keyOf(place) !== key) moves.push(`set server ${name} addr ${endpoint.address} port ${endpoint.port}`)
      additions.push(`set server ${name} state ready`)
    }
    withdrawals.push(...unwanted.map(({ name }) => `set server ${backend}/${name} state maint`))
  }
  const moved = (now: readonly ServerState[]): boolean => {
    const states = new Map(now.map((server) => [`${server.backend}/${server.name}`, server]))
    return [...places].every(([name, key]) => states.has(name) && keyOf(states.get(name)!) === key)
  }
  return { addressChanges: moves, commands: [...additions, ...withdrawals], overfullBackends: crowded, moved }
}

function takeFirst<T>(items: T[], fits: (item: T) => boolean): T | undefined {
  const at = items.findIndex(fits)
  return at === -1 ? undefined : items.splice(at, 1)[0]
}
