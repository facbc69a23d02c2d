/**
 * Who may use what. One authorizer decides for both faces; which services agents and controllers have of each other is
 * settled here by their certificates alone.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type { Kind, Services } from '../../proto/gen/types.ts'
import type { User as FaceUser } from './contract.ts'

/** The organisations that certificates of the cluster's CA carry: people and tools, agents, and controllers. */
export const MASTERS = 'system:masters'
export const NODES = 'system:nodes'
export const CONTROLLERS = 'system:controllers'

type User = CallContext['user']

/** Services of controllers; any other is not theirs to offer. Those of people and tools are the authorizer's affair. */
const SERVICES: Readonly<Partial<Record<keyof Services, 'people' | 'agents'>>> = {
  Resources: 'people',
  Pods: 'people',
  Cluster: 'people',
  Nodes: 'agents',
}
/** What controllers pass on to each other for callers whom they have let in themselves. */
const FORWARDED_SERVICES: readonly (keyof Services)[] = ['Pods', 'Cluster']

/** What the authorizer is asked of a service: the path of its calls, with the verb `call`. */
export function servicePath(service: keyof Services): string {
  return `/gantry.v1.${service}`
}

/**
 * Forbidden for a caller who may not use the service. An agent gets what its pods need in its session and nothing
 * beside it.
 */
export function authorize(service: keyof Services, user: User, authorizer: Authorizer = mastersOnly): void {
  const callers = SERVICES[service]
  if (callers === undefined) throw new GantryError('Unsupported', `a controller has no service ${service}`)
  const allowed =
    callers === 'agents'
      ? user.groups.includes(NODES)
      : authorizer.decide({ user, verb: 'call', path: servicePath(service) }).allowed
  if (allowed || (isController(user) && FORWARDED_SERVICES.includes(service))) return
  const group = callers === 'agents' ? NODES : MASTERS
  throw new GantryError('Forbidden', `${describeCaller(user)} may not use the service ${service}`, {
    details: [
      {
        field: 'groups',
        value: user.groups.join(', '),
        message: `needs a client certificate of the organisation ${group}`,
        remedy:
          group === MASTERS
            ? 'use a context of the cluster: gantry config get-contexts'
            : 'let the node join the cluster again',
      },
    ],
  })
}

/** Forbidden for a caller who may not see or write objects of the kind. */
export function authorizeKind(kind: Kind, user: User): void {
  if (kind !== 'Secret' || user.groups.includes(MASTERS)) return
  throw new GantryError('Forbidden', `${describeCaller(user)} may not use secrets`, {
    details: [
      { field: 'groups', value: user.groups.join(', '), message: `secrets are for the organisation ${MASTERS}` },
    ],
  })
}

/** Another controller, which passes a call on: it is answered here or not at all. */
export function isController(user: User): boolean {
  return user.groups.includes(CONTROLLERS)
}

function describeCaller({ name }: User): string {
  return name === '' ? 'a caller without a certificate' : `user ${name}`
}

/** What is asked, as RBAC sees it: a resource, or a path beside the resources. */
export interface Attributes {
  readonly user: FaceUser
  readonly verb: string
  readonly group?: string
  /** Plural. */
  readonly resource?: string
  readonly subresource?: string
  /** '' for what is in no namespace, and for all namespaces. */
  readonly namespace?: string
  readonly name?: string
  readonly path?: string
}

/** `reason`: for people, of an answer no for programs that only pass it on, too. */
export type Decision =
  { readonly allowed: true; readonly reason?: string } | { readonly allowed: false; readonly reason: string }

/** Says who may do what, for both faces. Never waits. */
export interface Authorizer {
  decide(attributes: Attributes): Decision
}

/** The administrators may do everything, and nobody else anything. */
export const mastersOnly: Authorizer = {
  decide: ({ user }) =>
    user.groups.includes(MASTERS)
      ? { allowed: true }
      : { allowed: false, reason: `needs a client certificate of the organisation ${MASTERS}` },
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
