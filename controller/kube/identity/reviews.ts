/**
 * Whose a token is, and who the caller is.
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/#self-subject-review
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { TokenReviewStatus, UserInfo } from '../../../proto/gen/types.ts'
import type { TokenAuthenticator } from '../../accounts/token-authenticator.ts'
import type { User } from '../../api/contract.ts'
import type { VirtualResource } from '../contract.ts'
import { HttpError } from '../status.ts'
import { reviewResource } from './review.ts'

/** `issuer`: whom a token is for where a review does not say. */
export function identityReviews(authenticator: Pick<TokenAuthenticator, 'review'>, issuer: string): VirtualResource[] {
  return [
    reviewResource('SelfSubjectReview', (_review, { user }) => ({ userInfo: userInfo(user) })),
    reviewResource('TokenReview', ({ spec: { token = '', audiences = [] } }) => {
      if (token === '') throw new HttpError(400, 'BadRequest', 'token is required for TokenReview in authentication')
      return reviewToken(authenticator, token, audiences.length === 0 ? [issuer] : audiences)
    }),
  ]
}

async function reviewToken(
  authenticator: Pick<TokenAuthenticator, 'review'>,
  token: string,
  audiences: readonly string[],
): Promise<TokenReviewStatus> {
  try {
    const bearer = await authenticator.review(token, audiences)
    if (bearer === undefined) return { authenticated: false, error: 'the token is not of this cluster' }
    return { authenticated: true, user: userInfo(bearer.user), audiences: [...bearer.audiences] }
  } catch (thrown) {
    if (GantryError.is(thrown, 'Unauthenticated')) return { authenticated: false, error: thrown.message }
    throw thrown
  }
}

function userInfo({ name, uid, groups, extra = {} }: User): UserInfo {
  return {
    username: name,
    uid,
    groups: [...groups],
    extra: Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, [...values]])),
  }
}
