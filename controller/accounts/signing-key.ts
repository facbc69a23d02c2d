/** The key that tokens of ServiceAccounts are signed with: one for all controllers, which no node ever sees. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto'
import type { Store } from '../store/contract.ts'
import { loadOrCreateSecret, type StoredSecretOptions } from '../store/stored-secret.ts'

export const SIGNING_KEY = '/gantry-supervise/service-account-key'

/** A public key as OpenID Connect shows it (RFC 7517). */
export interface PublicKey {
  readonly use: 'sig'
  readonly kty: string
  readonly kid: string
  readonly alg: 'ES256'
  readonly crv: string
  readonly x: string
  readonly y: string
}

/** Signs and verifies by ECDSA on P-256 (ES256, RFC 7518, section 3.4). */
export class SigningKey {
  readonly public: PublicKey
  readonly #private: KeyObject
  readonly #verifier: KeyObject

  /** `pem`: PKCS #8. */
  constructor(pem: string) {
    this.#private = createPrivateKey(pem)
    this.#verifier = createPublicKey(this.#private)
    const { kty, crv, x, y } = this.#verifier.export({ format: 'jwk' }) as {
      kty: string
      crv: string
      x: string
      y: string
    }
    // RFC 7638: the members of the key alone, in order.
    const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
    this.public = { use: 'sig', kty, kid, alg: 'ES256', crv, x, y }
  }

  static make(): string {
    return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    }) as string
  }

  sign(text: string): Buffer {
    return sign('sha256', Buffer.from(text), { key: this.#private, dsaEncoding: 'ieee-p1363' })
  }

  verify(text: string, signature: Uint8Array): boolean {
    return verify('sha256', Buffer.from(text), { key: this.#verifier, dsaEncoding: 'ieee-p1363' }, signature)
  }
}

/**
 * The cluster's key, made once, however long the store is away. Rejects with the signal's reason when it is aborted
 * before.
 */
export async function clusterSigningKey(
  store: Pick<Store, 'get' | 'commit'>,
  options: StoredSecretOptions,
  signal: AbortSignal,
): Promise<SigningKey> {
  return new SigningKey(await loadOrCreateSecret(store, SIGNING_KEY, () => SigningKey.make(), options, signal))
}
