/**
 * By what others tell that a token is this cluster's, without asking it about each.
 * https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
 */
import type { AccountTokens } from '../../accounts/tokens.ts'
import type { Endpoint } from '../contract.ts'

const CONFIGURATION = '/.well-known/openid-configuration'
const KEYS = '/openid/v1/jwks'

export function openidEndpoints({ issuer, keys }: Pick<AccountTokens, 'issuer' | 'keys'>): Endpoint[] {
  const document = (path: string, type: string, value: object): Endpoint => {
    const body = JSON.stringify(value)
    return {
      path,
      handle: () => Promise.resolve({ is: 'bytes', type, body, headers: { 'Cache-Control': 'public, max-age=3600' } }),
    }
  }
  return [
    document(CONFIGURATION, 'application/json', {
      issuer,
      jwks_uri: `${issuer}${KEYS}`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: keys.map(({ alg }) => alg),
    }),
    document(KEYS, 'application/jwk-set+json', { keys }),
  ]
}
