/** Who may use what, by the groups in the client's certificate. */
import { GantryError } from '../../proto/api/errors.ts'
import type { CallContext } from '../../proto/api/rpc.ts'
import type { Kind, Services } from '../../proto/gen/types.ts'

/** The organisations that certificates of the cluster's CA carry: people and tools, and agents. */
export const MASTERS = 'system:masters'
export const NODES = 'system:nodes'

type User = CallContext['user']

const ALLOWED: Readonly<Record<keyof Services, string>> = { Resources: MASTERS, Pods: MASTERS, Cluster: MASTERS, Nodes: NODES }

/** Forbidden for a caller who may not use the service. An agent gets what its pods need in its session and nothing beside it. */
export function authorize(service: keyof Services, user: User): void {
  const group = ALLOWED[service]
  if (user.groups.includes(group)) return
  throw new GantryError('Forbidden', `${called(user)} may not use the service ${service}`, { details: [{ field: 'groups', value: user.groups.join(', '), message: `needs a client certificate of the organisation ${group}`, remedy: group === MASTERS ? 'use a context of the cluster: gantry config get-contexts' : 'let the node join the cluster again' }] })
}

/** Forbidden for a caller who may not see or write objects of the kind. */
export function authorizeKind(kind: Kind, user: User): void {
  if (kind !== 'Secret' || user.groups.includes(MASTERS)) return
  throw new GantryError('Forbidden', `${called(user)} may not use secrets`, { details: [{ field: 'groups', value: user.groups.join(', '), message: `secrets are for the organisation ${MASTERS}` }] })
}

function called({ name }: User): string {
  return name === '' ? 'a caller without a certificate' : `user ${name}`
}
