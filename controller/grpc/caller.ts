/** Who calls over gRPC: by the certificate of the connection. */
import type { CallContext } from '../../proto/rpc/rpc.ts'
import { withAuthenticatedGroup } from '../accounts/token-authenticator.ts'
import type { User } from '../api/contract.ts'
import { isController } from '../authorization/groups.ts'

/** As authorization and admission know the caller: who shows a certificate is known. */
export function userOf({ user }: Pick<CallContext, 'user'>): User {
  return user.name === '' ? user : withAuthenticatedGroup(user)
}

/** Whether another controller passes on what it has let in: it is answered here or not at all. */
export function isForwarded({ user }: Pick<CallContext, 'user'>): boolean {
  return isController(user)
}
