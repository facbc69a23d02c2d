/**
 * What the agent's main thread and the resolver's thread say to each other. Each request is answered once, in order.
 */
import type { ZoneRecord } from './encode.ts'
import type { ForwarderCounts } from './forwarder.ts'
import type { ListenAddress } from './listeners.ts'
import type { ResponderCounts } from './responder.ts'
import type { ZoneSettings } from './zone.ts'

export interface ResolverSettings {
  /** Name servers of the node; none: those of `resolvConf`. */
  readonly upstream: readonly string[]
  readonly resolvConf: string
  /** Bytes of other servers' answers. */
  readonly cacheBytes: number
  /** Seconds that they are kept beyond their time, for when nobody answers. */
  readonly serveStale: number
}

export type ResolverCall =
  /** Exactly these ports; answered with their numbers. */
  | { readonly kind: 'listen'; readonly endpoints: readonly ListenAddress[] }
  /**
   * Records in place of those before. With `begin` a new zone is begun beside the one in use; with `commit` what has
   * been told is what is answered.
   */
  | {
      readonly kind: 'zone'
      readonly begin?: ZoneSettings
      readonly set: readonly (readonly [source: string, records: readonly ZoneRecord[]])[]
      readonly commit?: number
    }
  | { readonly kind: 'stats' }
  | { readonly kind: 'stop' }

export interface ResolverStats extends ResponderCounts, ForwarderCounts {
  /** The store's revision that the names show; 0: none yet. */
  readonly revision: number
  readonly cached: number
  readonly cachedBytes: number
  readonly flights: number
  readonly connections: number
  readonly connectionsRefused: number
  readonly sendFailures: number
}

export interface ResolverRequest {
  readonly number: number
  readonly call: ResolverCall
}

export type ResolverReply =
  | { readonly kind: 'done'; readonly number: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly number: number; readonly code: string; readonly message: string }
  | {
      readonly kind: 'log'
      readonly level: 'info' | 'warn'
      readonly fields: Readonly<Record<string, unknown>>
      readonly message: string
    }
