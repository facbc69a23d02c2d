/** What calls of the cluster's client are given, and what a watch tells. */
import type { DeleteRequestPropagation, Kind, Resources } from '../gen/types.ts'

export const FIELD_MANAGER = 'gantry'

export interface Selection {
  /** Empty: every namespace. */
  readonly namespace: string
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Objects a page. */
  readonly limit?: number | undefined
}

export interface WriteFlags {
  readonly dryRun?: boolean | undefined
  readonly fieldManager?: string | undefined
}

/** What becomes of what an object owns, as `--cascade` names it. */
export const CASCADES: Readonly<Record<string, DeleteRequestPropagation>> = {
  background: 'BACKGROUND',
  foreground: 'FOREGROUND',
  orphan: 'ORPHAN',
}

export interface DeleteFlags extends WriteFlags {
  readonly propagation?: DeleteRequestPropagation | undefined
  readonly gracePeriodSeconds?: number | undefined
  readonly uid?: string | undefined
  /** Of a pod: ResourceExhausted if it may not go now. */
  readonly eviction?: boolean | undefined
}

export type Change<K extends Kind = Kind> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: Resources[K] }
  | { readonly type: 'BOOKMARK' }
