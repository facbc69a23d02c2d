/**
 * Whether somebody may do something: answered by the authorizer that lets requests in.
 * https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
 */
import type {
  NonResourceAttributes,
  ResourceAttributes,
  ResourceRule,
  SubjectAccessReviewSpec,
  SubjectAccessReviewStatus,
  SubjectRulesReviewStatus,
} from '../../../proto/gen/types.ts'
import { AUTHENTICATED_PATHS } from '../../accounts/access-authorizer.ts'
import { accountGroups, withAuthenticatedGroup } from '../../accounts/token-authenticator.ts'
import { accountOf } from '../../accounts/tokens.ts'
import type { Authorizer } from '../../authorization/authorizer.ts'
import type { User } from '../../api/contract.ts'
import type { ServedResource, ServedSubresource, VirtualResource } from '../contract.ts'
import { HttpError } from '../status.ts'
import { reviewResource } from './review.ts'

export interface AccessReviewsParts {
  readonly authorizer: Authorizer
  /** What is served at this moment, to be gone through one by one. */
  readonly served: () => {
    readonly resources: readonly ServedResource[]
    readonly subresources: readonly ServedSubresource[]
  }
}

export function accessReviews(parts: AccessReviewsParts): VirtualResource[] {
  const { authorizer } = parts
  return [
    reviewResource('SelfSubjectAccessReview', ({ spec }, { user }) => judge(authorizer, user, spec)),
    reviewResource('SubjectAccessReview', ({ spec }) => judge(authorizer, subjectOf(spec), spec)),
    reviewResource('LocalSubjectAccessReview', ({ metadata: { namespace }, spec }) => {
      const { resourceAttributes, nonResourceAttributes } = spec
      if (nonResourceAttributes !== undefined)
        throw invalid('spec.nonResourceAttributes', 'is not allowed: a path is in no namespace')
      if (resourceAttributes !== undefined && resourceAttributes.namespace !== namespace)
        throw invalid(
          'spec.resourceAttributes.namespace',
          `must be ${JSON.stringify(namespace)}, as that of the review`,
        )
      return judge(authorizer, subjectOf(spec), spec)
    }),
    reviewResource('SelfSubjectRulesReview', ({ spec: { namespace = '' } }, { user }) => {
      if (namespace === '')
        throw new HttpError(400, 'BadRequest', 'spec.namespace is required: rules are told for one namespace')
      return rulesOf(parts, user, namespace)
    }),
  ]
}

/**
 * Whom a review is about, with the groups that a request of that user would have. A name alone is enough: who is named
 * is known. A ServiceAccount is always in the groups of its namespace.
 */
function subjectOf({ user: name = '', groups = [], uid, extra = {} }: SubjectAccessReviewSpec): User {
  if (name === '' && groups.length === 0) throw invalid('spec.user', 'is required, or spec.groups')
  const user = { name, groups, extra, ...(uid !== undefined && { uid }) }
  const account = accountOf(name)
  if (account !== undefined) return { ...user, groups: [...new Set([...groups, ...accountGroups(account.namespace)])] }
  return groups.length === 0 ? withAuthenticatedGroup(user) : user
}

function judge(
  authorizer: Authorizer,
  user: User,
  {
    resourceAttributes,
    nonResourceAttributes,
  }: {
    readonly resourceAttributes?: ResourceAttributes | undefined
    readonly nonResourceAttributes?: NonResourceAttributes | undefined
  },
): SubjectAccessReviewStatus {
  if ((resourceAttributes === undefined) === (nonResourceAttributes === undefined))
    throw invalid('spec', 'must have exactly one of resourceAttributes and nonResourceAttributes')
  const decision =
    nonResourceAttributes === undefined
      ? authorizer.decide({ user, ...accessRequestOf(resourceAttributes!) })
      : authorizer.decide({ user, verb: nonResourceAttributes.verb ?? '', path: nonResourceAttributes.path ?? '' })
  return { allowed: decision.allowed, ...(decision.reason !== undefined && { reason: decision.reason }) }
}

function accessRequestOf({
  verb = '',
  group = '',
  resource = '',
  subresource = '',
  namespace = '',
  name = '',
}: ResourceAttributes): Omit<Parameters<Authorizer['decide']>[0], 'user'> {
  return { verb, group, resource, subresource, namespace, name }
}

/**
 * Goes through all that is served: so it holds whatever the authorizer goes by, but for what depends on an object's
 * name.
 */
function rulesOf({ authorizer, served }: AccessReviewsParts, user: User, namespace: string): SubjectRulesReviewStatus {
  const everything = { user, verb: '*', group: '*', resource: '*', namespace: '' }
  if (authorizer.decide(everything).allowed) {
    return {
      resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
      nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
      incomplete: false,
    }
  }
  const { resources, subresources } = served()
  const rules = new Map<string, ResourceRule>()
  const note = (
    group: string,
    resource: string,
    verbs: readonly string[],
    allowed: (verb: string) => boolean,
  ): void => {
    const granted = verbs.filter(allowed)
    if (granted.length === 0) return
    const key = `${group} ${granted.join(' ')}`
    const rule = rules.get(key) ?? { verbs: granted, apiGroups: [group], resources: [] }
    rules.set(key, { ...rule, resources: [...(rule.resources ?? []), resource] })
  }
  for (const { group, plural, namespaced, verbs } of resources) {
    note(
      group,
      plural,
      verbs,
      (verb) =>
        authorizer.decide({ user, verb, group, resource: plural, namespace: namespaced ? namespace : '' }).allowed,
    )
  }
  for (const { parent, name, verbs } of subresources) {
    const wish = {
      user,
      group: parent.group,
      resource: parent.plural,
      subresource: name,
      namespace: parent.namespaced ? namespace : '',
    }
    note(
      parent.group,
      `${parent.plural}/${name}`,
      verbs.flatMap((verb) => (verb === 'connect' ? ['get', 'create'] : [verb])),
      (verb) => authorizer.decide({ ...wish, verb }).allowed,
    )
  }
  const own = { user, verb: 'get', resource: 'namespaces', namespace: '', name: namespace }
  const named =
    authorizer.decide(own).allowed && !authorizer.decide({ ...own, name: '' }).allowed
      ? [{ verbs: ['get'], apiGroups: [''], resources: ['namespaces'], resourceNames: [namespace] }]
      : []
  const paths = AUTHENTICATED_PATHS.filter(
    (path) => authorizer.decide({ user, verb: 'get', path: path.replace(/\*$/, 'x') }).allowed,
  )
  return {
    resourceRules: [...rules.values(), ...named],
    nonResourceRules: paths.length === 0 ? [] : [{ verbs: ['get'], nonResourceURLs: [...paths] }],
    incomplete: false,
  }
}

function invalid(field: string, message: string): HttpError {
  return new HttpError(422, 'Invalid', `${field} ${message}`)
}
