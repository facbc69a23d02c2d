/**
 * Being taken for somebody else: Impersonate-User, -Group, -Uid and -Extra-KEY.
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
 */
import {
  accountGroups,
  ANONYMOUS,
  withAuthenticatedGroup,
  UNAUTHENTICATED_GROUP,
} from '../accounts/token-authenticator.ts'
import { accountOf } from '../accounts/tokens.ts'
import { forbidden, type Attributes, type Authorizer } from '../authorization/authorizer.ts'
import type { User } from '../api/contract.ts'
import { HttpError } from './status.ts'

const USER = 'impersonate-user'
const GROUP = 'impersonate-group'
const UID = 'impersonate-uid'
const EXTRA = 'impersonate-extra-'
const GROUP_OF_REVIEWS = 'authentication.k8s.io'

type Headers = Readonly<Record<string, string[] | undefined>>

/**
 * Whom the caller is to be taken for; the caller, where no header says anything. Forbidden, and a Status with code 400
 * for headers that do not go together.
 */
export function impersonated(headers: Headers, caller: User, authorizer: Authorizer): User {
  const asked = Object.keys(headers).filter((name) => name.startsWith('impersonate-'))
  if (asked.length === 0) return caller
  const [name = ''] = headers[USER] ?? []
  if (name === '')
    throw new HttpError(
      400,
      'BadRequest',
      `${asked.join(', ')} need${asked.length === 1 ? 's' : ''} Impersonate-User beside it`,
    )
  const groups = headers[GROUP] ?? []
  const [uid] = headers[UID] ?? []
  const extra = extraOf(headers, asked)
  for (const wish of impersonationChecks(name, groups, uid, extra)) {
    const attributes: Attributes = { user: caller, verb: 'impersonate', ...wish }
    const decision = authorizer.decide(attributes)
    if (!decision.allowed) throw forbidden(attributes, decision.reason)
  }
  return {
    ...withGroups(name, groups),
    ...(uid !== undefined && uid !== '' && { uid }),
    ...(Object.keys(extra).length > 0 && { extra }),
  }
}

/** Everything that the caller must be allowed. */
function* impersonationChecks(
  name: string,
  groups: readonly string[],
  uid: string | undefined,
  extra: Readonly<Record<string, readonly string[]>>,
): Generator<Omit<Attributes, 'user' | 'verb'>> {
  const account = accountOf(name)
  yield account === undefined ? { resource: 'users', name } : { resource: 'serviceaccounts', ...account }
  for (const group of groups) yield { resource: 'groups', name: group }
  if (uid !== undefined && uid !== '') yield { group: GROUP_OF_REVIEWS, resource: 'uids', name: uid }
  for (const [key, values] of Object.entries(extra))
    for (const value of values) yield { group: GROUP_OF_REVIEWS, resource: 'userextras', subresource: key, name: value }
}

/** Keys are percent-encoded in the header's name, and in lower case. */
function extraOf(headers: Headers, asked: readonly string[]): Record<string, readonly string[]> {
  return Object.fromEntries(
    asked
      .filter((name) => name.startsWith(EXTRA))
      .map((name) => {
        try {
          return [decodeURIComponent(name.slice(EXTRA.length)), headers[name] ?? []]
        } catch {
          throw new HttpError(400, 'BadRequest', `the header ${name} holds a malformed percent-encoding`)
        }
      }),
  )
}

function withGroups(name: string, groups: readonly string[]): User {
  if (name === ANONYMOUS.name) return { name, groups: [...new Set([...groups, UNAUTHENTICATED_GROUP])] }
  const account = accountOf(name)
  return withAuthenticatedGroup({
    name,
    groups: groups.length === 0 && account !== undefined ? accountGroups(account.namespace) : groups,
  })
}
