/**
 * Certificates out of Secrets, checked before the proxy sees them: one that it cannot read would make it refuse
 * everything.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { Secret } from '../../proto/gen/types.ts'

export type CertificateResult = { readonly pem: string } | { readonly problem: string }

/**
 * What the distribution's OpenSSL asks of certificates (SSL_CTX_set_security_level(3)): no RSA below 2048 bits, no
 * curve below 224.
 */
const OPENSSL_SECURITY_LEVEL = 'DEFAULT@SECLEVEL=2'

/** Reading takes a millisecond, and all are asked for with each endpoint that comes or goes. */
const certificateCache = new WeakMap<Secret, CertificateResult>()

/** PEM of the chain and its key, or what is wrong with the Secret. */
export function readCertificate(secret: Secret | undefined): CertificateResult {
  if (secret === undefined) return { problem: 'does not exist' }
  let result = certificateCache.get(secret)
  if (result === undefined) certificateCache.set(secret, (result = read(secret)))
  return result
}

function read(secret: Secret): CertificateResult {
  const [chain, key] = ['tls.crt', 'tls.key'].map((name) =>
    Buffer.from(secret.data?.[name] ?? '', 'base64')
      .toString('utf8')
      .trim(),
  )
  if (chain === '' || key === '') return { problem: `has no ${chain === '' ? 'tls.crt' : 'tls.key'}` }
  const certificates = chain!.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (certificates[0] === undefined) return { problem: 'has no certificate in PEM form in tls.crt' }
  const keys = key!.match(/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^-]+-----END \1-----/)
  if (keys === null) return { problem: 'has no private key in PEM form in tls.key' }
  try {
    const parsed = certificates.map((certificate) => new X509Certificate(certificate))
    if (!parsed[0]!.checkPrivateKey(createPrivateKey(keys[0])))
      return { problem: 'has a key that does not belong to its certificate' }
    createSecureContext({ cert: certificates.join('\n'), key: keys[0], ciphers: OPENSSL_SECURITY_LEVEL })
  } catch (thrown) {
    return { problem: `cannot be read: ${(thrown as Error).message}` }
  }
  return { pem: [...certificates, keys[0], ''].join('\n') }
}
