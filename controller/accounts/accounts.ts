/** ServiceAccounts as the controller has them: who they are, what they may do, and how pods come by them. */
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { AdmissionPlugin, ObjectApi } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Random } from '../../proto/base/random.ts'
import { AccessAuthorizer } from './access-authorizer.ts'
import { AuthorAccessPlugin } from './author-access-plugin.ts'
import { AccountUsePlugin } from './account-use-plugin.ts'
import { NamespaceDefaults } from './namespace-defaults.ts'
import { ServiceAccountPlugin } from './service-account-plugin.ts'
import type { SigningKey } from './signing-key.ts'
import { TokenAuthenticator } from './token-authenticator.ts'
import { AccountTokens } from './tokens.ts'

export interface AccountsParts {
  readonly key: SigningKey
  readonly clusterDomain: string
  /** The certificate authority's certificate, PEM. */
  readonly authority: string
  readonly informer: Informer
  readonly reads: ConsistentReads
  readonly clock: Clock
  readonly random: Random
}

export class Accounts {
  readonly tokens: AccountTokens
  readonly authenticator: TokenAuthenticator
  readonly authorizer: AccessAuthorizer
  readonly #parts: AccountsParts

  constructor(parts: AccountsParts) {
    this.#parts = parts
    this.tokens = new AccountTokens(parts)
    this.authenticator = new TokenAuthenticator({ ...parts, tokens: this.tokens })
    this.authorizer = new AccessAuthorizer(parts.informer)
  }

  plugins(api: ObjectApi): readonly AdmissionPlugin[] {
    const { informer } = this.#parts
    return [
      new ServiceAccountPlugin({ ...this.#parts, contents: new NamespaceDefaults({ ...this.#parts, api }) }),
      new AuthorAccessPlugin(this.authorizer, informer),
      new AccountUsePlugin(this.authorizer),
    ]
  }
}
