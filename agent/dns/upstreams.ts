/**
 * The servers that the node itself asks: those of its settings, or of its resolv.conf(5), which is read again when it
 * has changed.
 */
import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { parseResolvConf, RESOLV_CONF } from './resolv-conf.ts'

export interface Upstream {
  readonly address: string
  readonly port: number
}

/** Milliseconds between looks at the file, which are only taken when there is something to ask. */
const FILE_CHECK_INTERVAL_MS = 1000
/** Milliseconds that a server which did not answer is asked last. */
const UPSTREAM_COOLDOWN_MS = 10_000

export interface UpstreamsOptions {
  /** "address" or "address:port", "[v6]:port"; empty: those of the file. */
  readonly configured: readonly string[]
  readonly file?: string
  /** Our own addresses: never asked. */
  readonly own: () => ReadonlySet<string>
  readonly clock: Clock
  readonly logger: Pick<Logger, 'warn' | 'info'>
  /** The servers are others than before. */
  readonly changed?: (servers: readonly Upstream[]) => void
}

export class Upstreams {
  readonly #options: UpstreamsOptions
  #looked = -Infinity
  #version = ''
  #servers: readonly Upstream[] = []
  /** Until when each is asked last. */
  readonly #failing = new Map<string, number>()
  readonly #looping = new Set<string>()

  constructor(options: UpstreamsOptions) {
    this.#options = options
  }

  /** The next look takes the file as changed. */
  refresh(): void {
    this.#looked = -Infinity
    this.#version = ''
  }

  /** Those that answer, before those that lately did not. */
  get(): Upstream[] {
    const now = this.#options.clock.monotonic()
    if (now - this.#looked >= FILE_CHECK_INTERVAL_MS) {
      this.#looked = now
      this.#look()
    }
    const usable = this.#servers.filter((server) => !this.#looping.has(upstreamKey(server)))
    const failing = (server: Upstream): boolean => (this.#failing.get(upstreamKey(server)) ?? -Infinity) > now
    return [...usable.filter((server) => !failing(server)), ...usable.filter(failing)]
  }

  failed(server: Upstream): void {
    this.#failing.set(upstreamKey(server), this.#options.clock.monotonic() + UPSTREAM_COOLDOWN_MS)
  }

  answered(server: Upstream): void {
    this.#failing.delete(upstreamKey(server))
  }

  /** What it is asked comes back to us: it is not asked until the servers are others. */
  loops(server: Upstream): void {
    if (this.#looping.has(upstreamKey(server))) return
    this.#looping.add(upstreamKey(server))
    this.#options.logger.warn(
      { server: upstreamKey(server) },
      "this name server asks us what we ask it: it is left out; name another one in dns.upstream of the agent's settings",
    )
  }

  #look(): void {
    const { configured, file = RESOLV_CONF, own, logger, changed } = this.#options
    let servers: Upstream[]
    try {
      if (configured.length > 0) {
        if (this.#version === 'configured') return
        this.#version = 'configured'
        servers = configured.flatMap((text) => asUpstream(text) ?? [])
      } else {
        const { mtimeMs, ino, size } = statSync(file)
        const version = `${mtimeMs} ${ino} ${size}`
        if (version === this.#version) return
        servers = parseResolvConf(readFileSync(file, 'utf8')).nameservers.map((address) => ({ address, port: 53 }))
        this.#version = version
      }
    } catch (thrown) {
      logger.warn(
        { err: GantryError.from(thrown), file },
        "the node's name servers cannot be read: those known are asked on",
      )
      return
    }
    const others = servers.filter((server) => server.port !== 53 || !own().has(server.address))
    if (others.length < servers.length)
      logger.info(
        { servers: servers.map(upstreamKey) },
        "the node's name servers include this resolver itself, which is left out",
      )
    if (others.length === 0)
      logger.warn(
        { file: configured.length > 0 ? undefined : file },
        "the node has no name server: names outside the cluster are not found; name one in dns.upstream of the agent's settings",
      )
    this.#servers = others
    this.#looping.clear()
    this.#failing.clear()
    changed?.(others)
  }
}

export function upstreamKey({ address, port }: Upstream): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** "10.0.0.53", "10.0.0.53:5353", "fd00::53", "[fd00::53]:5353"; undefined: it is none of these. */
export function asUpstream(text: string): Upstream | undefined {
  const match = /^\[(.+)\](?::(\d+))?$/.exec(text) ?? (isIP(text) !== 0 ? [text, text] : /^([^:]+):(\d+)$/.exec(text))
  const address = match?.[1] ?? ''
  const port = Number(match?.[2] ?? 53)
  return isIP(address) === 0 || port < 1 || port > 65_535 ? undefined : { address, port }
}
