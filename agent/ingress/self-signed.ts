/**
 * The certificate that clients see who ask for a host that has none: it proves nothing, but lets the connection be
 * made.
 */
import { webcrypto } from 'node:crypto'
import type { Clock } from '../../proto/base/clock.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY = 24 * 60 * 60 * 1000

/** PEM of a certificate and its key, valid for ten years. */
export async function selfSignedCertificate(clock: Clock): Promise<string> {
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  x509.cryptoProvider.set(webcrypto)
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const serial = Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
  serial[0]! &= 0x7f
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial.toString('hex'),
    name: 'CN=gantry-entrance,O=Gantry',
    notBefore: new Date(clock.now() - DAY),
    notAfter: new Date(clock.now() + 3650 * DAY),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'entrance.gantry.invalid' }])],
  })
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return `${certificate.toString('pem')}\n${key}\n`
}
