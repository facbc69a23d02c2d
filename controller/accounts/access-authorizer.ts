/**
 * Who may do what, until there are roles: administrators everything; a ServiceAccount what its level of access says, in
 * its namespace; everybody who is known may look at what there is to be had, and ask what they may do. Agents and
 * controllers have their own services and nothing here.
 */
import { accessOf, authorAccessOf, isAtLeast, lesserAccess, type Access } from '../../proto/objects/account-access.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { parseProxyReference } from '../../proto/objects/proxy-reference.ts'
import { serviceAccountName } from '../../proto/objects/pod-references.ts'
import type { Attributes, Authorizer, Decision } from '../authorization/authorizer.ts'
import { CONTROLLERS, MASTERS, NODES } from '../authorization/groups.ts'
import type { User } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import { AUTHENTICATED_GROUP, POD_NAME } from './token-authenticator.ts'
import { leastAccess } from './access-rules.ts'
import { accountOf } from './tokens.ts'

const READ: ReadonlySet<string> = new Set(['get', 'list', 'watch'])
/** By these the processes of a pod are reached, and so what they hold. */
const POD_ACCESS_SUBRESOURCES: ReadonlySet<string> = new Set([
  'exec',
  'attach',
  'portforward',
  'proxy',
  'ephemeralcontainers',
])
/** What everybody may ask about themselves. */
const SELF_REVIEWS: ReadonlySet<string> = new Set([
  'authentication.k8s.io/selfsubjectreviews',
  'authorization.k8s.io/selfsubjectaccessreviews',
  'authorization.k8s.io/selfsubjectrulesreviews',
])
/** Paths beside the resources; one that ends in a slash stands for all below it. */
const OPEN_PATHS = ['/healthz', '/livez', '/readyz', '/version'] as const
const DISCOVERY_PATHS = [
  ...OPEN_PATHS,
  '/api',
  '/api/',
  '/apis',
  '/apis/',
  '/openapi/',
  '/healthz/',
  '/livez/',
  '/readyz/',
  '/version/',
  '/.well-known/openid-configuration',
  '/openid/v1/jwks',
] as const

/** What is shown as what everybody who is known may do. */
export const AUTHENTICATED_PATHS: readonly string[] = DISCOVERY_PATHS.map((path) =>
  path.endsWith('/') ? `${path}*` : path,
)

const YES: Decision = { allowed: true }

export class AccessAuthorizer implements Authorizer {
  readonly #informer: Informer

  constructor(informer: Informer) {
    this.#informer = informer
  }

  decide(attributes: Attributes): Decision {
    const {
      user: { groups },
      verb,
      group = '',
      resource,
      path = '',
    } = attributes
    if (groups.includes(MASTERS)) return YES
    if (groups.includes(NODES) || groups.includes(CONTROLLERS))
      return no('agents and controllers have no other services than their own')
    if (this.accessOf(attributes.user) === 'admin') return YES
    if (resource === undefined)
      return READ.has(verb) || verb === 'head' ? this.#path(groups, path) : no('only administrators may')
    if (verb === 'create' && SELF_REVIEWS.has(`${group}/${resource}`) && groups.includes(AUTHENTICATED_GROUP))
      return YES
    return this.#ofAccount(attributes)
  }

  /**
   * How powerful a user is, at the most: an account in its own namespace; by a token of a pod no more than whoever
   * wrote that pod.
   */
  accessOf({ name, groups, extra }: Pick<User, 'name' | 'groups' | 'extra'>): Access {
    if (groups.includes(MASTERS)) return 'admin'
    const account = accountOf(name)
    if (account === undefined) return 'none'
    const access = this.accountAccess(account.namespace, account.name)
    const pod = extra?.[POD_NAME]?.[0]
    return pod === undefined || access === 'none'
      ? access
      : lesserAccess(access, this.#authorAccess(account.namespace, pod))
  }

  #authorAccess(namespace: string, name: string): Access {
    const pod = this.#informer.lister('Pod').get(namespace, name)
    return pod === undefined ? 'none' : authorAccessOf(pod)
  }

  /** As the cache shows it; an account that is not there may do nothing. */
  accountAccess(namespace: string, name: string): Access {
    const account = this.#informer.lister('ServiceAccount').get(namespace, name)
    return account === undefined ? 'none' : accessOf(account)
  }

  #path(groups: readonly string[], path: string): Decision {
    const paths: readonly string[] = groups.includes(AUTHENTICATED_GROUP) ? DISCOVERY_PATHS : OPEN_PATHS
    return paths.some((open) => open === path || (open.endsWith('/') && path.startsWith(open)))
      ? YES
      : no('only administrators may')
  }

  #ofAccount(attributes: Attributes): Decision {
    const { user, verb, group = '', resource = '', subresource = '', namespace = '', name = '' } = attributes
    const account = accountOf(user.name)
    if (account === undefined)
      return no(
        `only administrators and ServiceAccounts may do anything yet: use a certificate of the organisation ${MASTERS}`,
      )
    const access = this.accessOf(user)
    const limited = this.accountAccess(account.namespace, account.name) !== access
    const level = `ServiceAccount ${account.namespace}/${account.name} has access "${access}"${limited ? ' in this pod, as whoever wrote the pod' : ''}`
    if (access === 'none') return no(level)
    // Its own namespace, by itself.
    if (
      group === '' &&
      resource === 'namespaces' &&
      ['', 'status'].includes(subresource) &&
      verb === 'get' &&
      name === account.namespace &&
      (namespace === '' || namespace === name)
    )
      return YES
    if (namespace !== account.namespace) return no(`${level}, which is about its own namespace`)
    const least = leastAccess({ verb, group, resource, subresource }, this.#informer.kinds)
    if (!isAtLeast(access, least)) return no(`${level}, and this needs "${least}"`)
    return group === '' && resource === 'pods' && POD_ACCESS_SUBRESOURCES.has(subresource)
      ? this.#reach(namespace, subresource === 'proxy' ? proxiedName(name) : name, access, level)
      : YES
  }

  /**
   * Into a pod's processes: not if they are another's who may do more. A pod that is not known (yet) might be such a
   * one.
   */
  #reach(namespace: string, name: string, access: Access, level: string): Decision {
    // Asked about pods in general.
    if (name === '') return YES
    const pod = this.#informer.lister('Pod').get(namespace, name)
    if (pod === undefined) return no(`there is no pod ${namespace}/${name}`)
    const used = this.accountAccess(namespace, serviceAccountName(pod.spec))
    return isAtLeast(access, used) ? YES : no(`${level}, and the pod runs as one with access "${used}"`)
  }
}

/** Of [SCHEME:]NAME[:PORT]; what is none of these is no pod's name either. */
function proxiedName(text: string): string {
  try {
    return text === '' ? '' : parseProxyReference(text).name
  } catch (thrown) {
    if (GantryError.is(thrown, 'InvalidArgument')) return text
    throw thrown
  }
}

function no(reason: string): Decision {
  return { allowed: false, reason }
}
