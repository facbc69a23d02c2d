/** What a ServiceAccount may do, as its annotation says: until there are roles. */
import type { ServiceAccount } from '../gen/types.ts'

export const ACCESS_ANNOTATION = 'gantry.dev/access'

/**
 * From the least to the most: nothing but to discover what is served; reading in its namespace, but no Secrets; writing
 * there, but no status, no ServiceAccounts and no tokens; everything in the whole cluster.
 */
export const ACCESS_LEVELS = ['none', 'view', 'edit', 'admin'] as const

export type Access = (typeof ACCESS_LEVELS)[number]

/**
 * Of an account that says nothing: every pod has a token of its namespace's default account, so it does nothing but
 * discover.
 */
const DEFAULT_ACCESS: Access = 'none'

/** A word that is none of them gives nothing. */
export function accessOf({ metadata: { annotations } }: Pick<ServiceAccount, 'metadata'>): Access {
  const said = annotations?.[ACCESS_ANNOTATION]
  return said === undefined ? DEFAULT_ACCESS : (ACCESS_LEVELS.find((level) => level === said) ?? 'none')
}

/**
 * On pods and what pods are made of: the access of whoever wrote their PodSpec, where it is less than admin. Only the
 * control plane writes it.
 */
export const AUTHOR_ANNOTATION = 'gantry.dev/author-access'

/**
 * Without the annotation an administrator or the control plane has written it. A word that is no level gives nothing.
 */
export function authorAccessOf({
  metadata: { annotations },
}: {
  readonly metadata: Pick<ServiceAccount['metadata'], 'annotations'>
}): Access {
  const said = annotations?.[AUTHOR_ANNOTATION]
  return said === undefined ? 'admin' : (ACCESS_LEVELS.find((level) => level === said) ?? 'none')
}

export function lesserAccess(one: Access, other: Access): Access {
  return isAtLeast(one, other) ? other : one
}

export function isAtLeast(access: Access, needed: Access): boolean {
  return ACCESS_LEVELS.indexOf(access) >= ACCESS_LEVELS.indexOf(needed)
}
