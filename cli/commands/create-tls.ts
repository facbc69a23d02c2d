/** What `gantry create secret tls` makes of two files: a certificate and its key, looked at before they are sent. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { GantryError } from '../../proto/base/errors.ts'
import type { JsonObject } from '../../proto/gen/types.ts'
import { UsageError } from '../../proto/client/failures.ts'

export const tlsFlags = {
  cert: {
    type: 'text',
    value: 'file',
    help: 'the certificate, PEM, with those between it and its authority behind it',
    completes: 'file',
  },
  key: { type: 'text', value: 'file', help: 'its private key, PEM', completes: 'file' },
} as const

/**
 * https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets . InvalidArgument for files that hold no
 * certificate and key, or not its own.
 */
export async function tlsSecret(
  { cert, key }: { readonly cert?: string | undefined; readonly key?: string | undefined },
  read: (file: string) => Promise<Buffer>,
): Promise<JsonObject> {
  if (cert === undefined || key === undefined)
    throw new UsageError(`--${cert === undefined ? 'cert' : 'key'} is required`)
  const [chain, secret] = await Promise.all([read(cert), read(key)])
  const certificate = parsed('certificate', cert, () => new X509Certificate(chain))
  const privateKey = parsed('private key', key, () => createPrivateKey(secret))
  if (!certificate.checkPrivateKey(privateKey))
    throw new GantryError(
      'InvalidArgument',
      `${key}: is not the key of the certificate in ${cert} (${certificate.subject.replaceAll('\n', ', ')})`,
    )
  return {
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': chain.toString('base64'), 'tls.key': secret.toString('base64') },
  }
}

function parsed<T>(what: string, file: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw new GantryError('InvalidArgument', `${file}: holds no ${what} in PEM form`, { cause })
  }
}
