/** Claims: what objects of a kind hold that only one may have, as keys of the store. */
import type { AnyResource, Kind, Resources } from '../../../proto/gen/types.ts'
import type { Entry } from '../../store/contract.ts'
import type { ConsistentReads } from '../consistent-reads.ts'

/** Every claim's key begins with this; so do records that belong to them. */
export const CLAIMS_PREFIX = '/gantry-allocations/'

/** What is claimed, and where the object says so. */
export interface Claim {
  readonly key: string
  readonly field: string
  readonly value: string
}

export interface ClaimSchemeParts<K extends Kind> {
  readonly kind: K
  /** Of the owner in a stored claim: {"service": "shop/web"}. */
  readonly owner: string
  /** What the keys begin with, after CLAIMS_PREFIX. */
  readonly prefixes: readonly string[]
  /** By key: all that an object holds, as the object itself says. */
  claimsOf(object: Resources[K]): ReadonlyMap<string, Claim>
  /** The key of a further record of the object, which goes with it; its participant writes it itself. */
  recordKey?(object: Resources[K]): string
}

/** How objects of one kind claim. Pure. */
export class ClaimScheme<K extends Kind = Kind> {
  readonly kind: K
  readonly prefixes: readonly string[]
  readonly #parts: ClaimSchemeParts<K>

  constructor(parts: ClaimSchemeParts<K>) {
    this.kind = parts.kind
    this.prefixes = parts.prefixes
    this.#parts = parts
  }

  claimsOf(object: Resources[K]): ReadonlyMap<string, Claim> {
    return this.#parts.claimsOf(object)
  }

  /** Whether an object says that it holds a key. */
  isHeldBy(object: Resources[K], key: string): boolean {
    return this.#parts.claimsOf(object).has(key) || this.#parts.recordKey?.(object) === key
  }

  /** The value of claims of an owner. */
  valueOf(owner: string): Uint8Array {
    return Buffer.from(JSON.stringify({ [this.#parts.owner]: owner }))
  }

  /** Who holds the claim of an entry, as `ownerName`; undefined for what is no claim of the scheme. */
  ownerOf({ value }: Pick<Entry, 'value'>): string | undefined {
    try {
      const owner = (JSON.parse(Buffer.from(value).toString()) as Record<string, unknown> | null)?.[this.#parts.owner]
      return typeof owner === 'string' ? owner : undefined
    } catch {
      // Not written by this program.
      return undefined
    }
  }
}

/** "shop/web"; of what has no namespace "n1". */
export function ownerName({ metadata: { namespace, name } }: Pick<AnyResource, 'metadata'>): string {
  return namespace === '' ? name : `${namespace}/${name}`
}

export function splitOwner(owner: string): { readonly namespace: string; readonly name: string } {
  const at = owner.indexOf('/')
  return { namespace: owner.slice(0, Math.max(0, at)), name: owner.slice(at + 1) }
}

/**
 * Whether nobody holds what an entry of the store says is held: its owner is gone, or does not say so. A claim is
 * written together with its owner, so this stays true for as long as the entry is not written again.
 */
export async function isAbandoned<K extends Kind>(
  scheme: ClaimScheme<K>,
  reads: Pick<ConsistentReads, 'find'>,
  entry: Pick<Entry, 'key' | 'value'>,
): Promise<boolean> {
  const owner = scheme.ownerOf(entry)
  if (owner === undefined) return false
  const { namespace, name } = splitOwner(owner)
  const found = await reads.find(scheme.kind, namespace, name)
  return found === undefined || !scheme.isHeldBy(found.object, entry.key)
}
