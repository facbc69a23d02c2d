/** Claims: what objects of a kind hold that only one may have, as keys of the store. Pure. */
import type { AnyResource, Kind, Resources } from '../../../proto/gen/types.ts'
import type { Entry } from '../../store/contract.ts'

/** Every claim's key begins with this; so do records that belong to them. */
export const CLAIMS_PREFIX = '/gantry-allocations/'

/** What is claimed, and where the object says so. */
export interface Claim {
  readonly key: string
  readonly field: string
  readonly value: string
}

/** How objects of one kind claim. */
export interface ClaimScheme<K extends Kind = Kind> {
  readonly kind: K
  /** Of the owner in a stored claim: {"service": "shop/web"}. */
  readonly owner: string
  /** What the keys begin with, after CLAIMS_PREFIX. */
  readonly prefixes: readonly string[]
  /** By key: all that an object holds, as the object itself says. */
  claimsOf(object: Resources[K]): ReadonlyMap<string, Claim>
}

/** "shop/web"; of what has no namespace "n1". */
export function ownerName({ metadata: { namespace, name } }: Pick<AnyResource, 'metadata'>): string {
  return namespace === '' ? name : `${namespace}/${name}`
}

export function claimValue(scheme: Pick<ClaimScheme, 'owner'>, owner: string): Uint8Array {
  return Buffer.from(JSON.stringify({ [scheme.owner]: owner }))
}

/** Who holds the claim of an entry; undefined for what is no claim of the scheme. */
export function ownerOf(scheme: Pick<ClaimScheme, 'owner'>, { value }: Pick<Entry, 'value'>): string | undefined {
  try {
    const owner = (JSON.parse(Buffer.from(value).toString()) as Record<string, unknown> | null)?.[scheme.owner]
    return typeof owner === 'string' ? owner : undefined
  } catch {
    // Not written by this program.
    return undefined
  }
}

export function splitOwner(owner: string): { readonly namespace: string; readonly name: string } {
  const at = owner.indexOf('/')
  return { namespace: owner.slice(0, Math.max(0, at)), name: owner.slice(at + 1) }
}
