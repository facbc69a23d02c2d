/** Who calls over gRPC, and which services are whose. */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type { Services } from '../../proto/gen/types.ts'
import { withAuthenticatedGroup } from '../accounts/token-authenticator.ts'
import type { User } from '../api/contract.ts'
import { isController, NODES } from '../authorization/groups.ts'

/** Services of controllers; any other is not theirs to offer. */
const SERVICES: Readonly<Partial<Record<keyof Services, 'everybody' | 'agents'>>> = {
  Resources: 'everybody',
  Pods: 'everybody',
  Cluster: 'everybody',
  Nodes: 'agents',
}

/**
 * Forbidden for a caller who may not use the service. Agents have one of their own, by their certificates alone. All
 * others ask at the door, request by request.
 */
export function authorizeService(service: keyof Services, { name, groups }: CallContext['user']): void {
  const callers = SERVICES[service]
  if (callers === undefined) throw new GantryError('Unsupported', `a controller has no service ${service}`)
  if (callers === 'everybody' || groups.includes(NODES)) return
  throw new GantryError(
    'Forbidden',
    `${name === '' ? 'a caller without a certificate' : `user ${name}`} may not use the service ${service}`,
    {
      details: [
        {
          field: 'groups',
          value: groups.join(', '),
          message: `needs a client certificate of the organisation ${NODES}`,
          remedy: 'let the node join the cluster again',
        },
      ],
    },
  )
}

/** As authorization and admission know the caller: who shows a certificate is known. */
export function userOf({ user }: Pick<CallContext, 'user'>): User {
  return user.name === '' ? user : withAuthenticatedGroup(user)
}

/** Whether another controller passes on what it has let in: it is answered here or not at all. */
export function isForwarded({ user }: Pick<CallContext, 'user'>): boolean {
  return isController(user)
}
