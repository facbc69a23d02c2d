/**
 * What the fault program is told to do, in JSON on its command line, and what it says when that is in effect. One task
 * a program: it does it until it is ended.
 *
 *   fault ──▶ Task ──▶ gantry-fault.cjs on the machine ──▶ Ready (a file) ──▶ nft rules that lead traffic to its ports
 */

/** What happens to bytes on their way. */
export interface Conditions {
  /** Milliseconds later. */
  readonly by?: number
  /** Milliseconds more or less than that, evenly spread. */
  readonly jitter?: number
  /** Share of the pieces that are late by as much again; on a stream they hold back what follows. */
  readonly reorder?: number
  /** Bytes a second. */
  readonly rate?: number
}

/** One who connects, known by address. */
export interface StreamClient {
  readonly address: string
  /** The loopback address that its connections are continued from: by it rules give them their own source again. */
  readonly via: string
  /** Towards the server, and back to the client. */
  readonly up: Conditions
  readonly down: Conditions
}

export interface StreamTask {
  readonly mode: 'streams'
  /** Where connections go on to: one listener for each port, in this order. */
  readonly host: string
  readonly ports: readonly number[]
  readonly clients: readonly StreamClient[]
}

export const REGISTRY_FAULTS = ['slow', '429', '500', 'cut', 'wrong-digest'] as const
export type RegistryFault = (typeof REGISTRY_FAULTS)[number]

export const REGISTRY_CONTENTS = ['blobs', 'manifests'] as const
export type RegistryContent = (typeof REGISTRY_CONTENTS)[number]

export interface RegistryTask {
  readonly mode: 'registry'
  readonly host: string
  readonly port: number
  readonly fault: RegistryFault
  /** Of the requests that it is about, from 0 to 1. */
  readonly share: number
  /** Undefined: every request. */
  readonly only?: RegistryContent
  /** Milliseconds until a request goes on, and bytes a second of what comes back: `slow`. */
  readonly latency?: number
  readonly rate?: number
  /** Seconds: `429`. */
  readonly retryAfter: number
}

export const DNS_FAULTS = ['timeout', 'servfail', 'nxdomain', 'slow'] as const
export type DnsFault = (typeof DNS_FAULTS)[number]

export interface DnsServer {
  readonly address: string
  readonly port: number
}

export interface DnsTask {
  readonly mode: 'dns'
  readonly fault: DnsFault
  /** Names that end in it, as whole labels; undefined: every name. */
  readonly suffix?: string
  /** Milliseconds: `slow`. */
  readonly latency: number
  /**
   * Where the rest goes on to: for each, four ports are listened on (on loopback UDP and TCP, on every address UDP and
   * TCP). A single undefined one: there is no rest.
   */
  readonly servers: readonly (DnsServer | null)[]
  /** Group that its own queries are sent as, so that rules can spare them. */
  readonly group?: number
}

export interface MemoryTask {
  readonly mode: 'memory'
  readonly bytes: number
}

/** What `memory` has a process of its own do, which the kernel may end without the one that watches it. */
export interface HoldTask {
  readonly mode: 'hold'
  readonly bytes: number
}

export interface CpuTask {
  readonly mode: 'cpu'
  /** Undefined: as many as there are processors. */
  readonly threads?: number
}

export type Task = StreamTask | RegistryTask | DnsTask | MemoryTask | HoldTask | CpuTask

/** Said once: the ports that are listened on, in the order of the task; or why there will be nothing. */
export type Ready = { readonly ports: readonly number[] } | { readonly error: string }
