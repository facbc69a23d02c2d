/** Who may do what: the question, the answer, and who answers it. */
import { GantryError } from '../../proto/base/errors.ts'
import type { User } from '../api/contract.ts'

/** What is asked, as RBAC sees it: a resource, or a path beside the resources. */
export interface Attributes {
  readonly user: User
  /** get, list, watch, create, update, patch, delete or deletecollection; of a path a method of HTTP in lower case. */
  readonly verb: string
  /** '' for the core group. */
  readonly group?: string
  /** Plural. */
  readonly resource?: string
  readonly subresource?: string
  /** '' for what is in no namespace, and for all namespaces. */
  readonly namespace?: string
  /** '' for a collection, and for what is to be created. */
  readonly name?: string
  readonly path?: string
}

/** `reason` is told to people; that of a refusal is also passed on by programs. */
export type Decision =
  | { readonly allowed: true; readonly reason?: string }
  | { readonly allowed: false; readonly reason: string }

/**
 * Says who may do what. The door (controller/requests) asks it about every request of every face, once the request has
 * its seat and before any work is done for it; reviews, impersonation and admission policies ask it about what somebody
 * may do.
 *
 * `decide` answers at once, out of what it keeps in memory: it must not wait and must not throw, and what a request
 * carries is not known yet when it is asked. It is asked anew for each request: its answer counts for this one. Where
 * several rules apply, one that allows is enough. An administrator's group (system:masters) may always do everything
 * but speak for a node, whatever else an implementation goes by: nobody can lock the cluster's owner out. Agents may
 * open what is their own node's and nothing else (node-authorizer.ts); controllers may do nothing: what one has let in,
 * the others take from it by its certificate.
 *
 * Beside the agents' there is one implementation today, the levels of access of ServiceAccounts (controller/accounts).
 */
export interface Authorizer {
  decide(attributes: Attributes): Decision
}

/** Forbidden, in the words of Kubernetes, and why. */
export function forbidden(
  { user, verb, group = '', resource, subresource = '', namespace = '', name = '', path = '' }: Attributes,
  reason: string,
): GantryError {
  const why = reason === '' ? '' : `: ${reason}`
  if (resource === undefined)
    return new GantryError('Forbidden', `forbidden: User "${user.name}" cannot ${verb} path "${path}"${why}`)
  const what = subresource === '' ? resource : `${resource}/${subresource}`
  const full = group === '' ? resource : `${resource}.${group}`
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`
  return new GantryError(
    'Forbidden',
    `${full}${name === '' ? '' : ` "${name}"`} is forbidden: User "${user.name}" cannot ${verb} resource "${what}" in API group "${group}" ${where}${why}`,
  )
}
