/** The cluster's certificate authority, and the certificates that it gives to controllers, nodes and people. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'
import { formatAddress, readCidr, splitCidrs } from '../proto/base/cidr.ts'

x509.cryptoProvider.set(webcrypto)

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY = 24 * 60 * 60 * 1000
/** Clocks of two machines may differ by this much. */
const SKEW = 5 * 60 * 1000

/** PEM texts. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

/**
 * By which pods reach the API, beside a controller's own names and addresses. `serviceCidr`: ranges of Services'
 * addresses, one or one per family with a comma between; the first address of each is the API's.
 * https://kubernetes.io/docs/setup/best-practices/certificates/
 */
export function apiHosts(serviceCidr: string, clusterDomain: string): string[] {
  const names = [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    `kubernetes.default.svc.${clusterDomain}`,
  ]
  const addresses = splitCidrs(serviceCidr).flatMap((text) => {
    const range = readCidr(text)
    return range === undefined ? [] : [formatAddress(range.family, range.first + 1n)]
  })
  return [...names, ...addresses]
}

export interface CertificateRequest {
  /** Who it is: `system:node:NAME` for a node, a person's name for a client. */
  readonly commonName: string
  /** Groups: `system:masters` may do everything, `system:nodes` are agents, `system:controllers` controllers. */
  readonly organizations?: readonly string[]
  /** Names and addresses by which it is reached; makes it a server's certificate too. */
  readonly hosts?: readonly string[]
  readonly days?: number
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')
}

function serialNumber(): string {
  return Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
    .toString('hex')
    .replace(/^[89a-f]/, '1')
}

/** A new authority, valid for ten years. `now` in milliseconds since 1970. */
export async function createAuthority(name: string, now: number): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${name}`,
    notBefore: new Date(now - SKEW),
    notAfter: new Date(now + 3650 * DAY),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert: `${certificate.toString('pem')}\n`, key: `${await exportKey(keys.privateKey)}\n` }
}

/**
 * A certificate of the authority with a new key. It names its own key and the authority's: strict clients, such as
 * Python since 3.13, refuse one that does not. https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.1
 */
export async function issue(authority: KeyPair, request: CertificateRequest, now: number): Promise<KeyPair> {
  const { commonName, organizations = [], hosts = [], days = 365 } = request
  const issuer = new x509.X509Certificate(authority.cert)
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(authority.key),
    ALGORITHM,
    false,
    ['sign'],
  )
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const usages = [x509.ExtendedKeyUsage.clientAuth, ...(hosts.length === 0 ? [] : [x509.ExtendedKeyUsage.serverAuth])]
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: new x509.Name([
      ...organizations.map((organization) => ({ O: [organization] })),
      { CN: [commonName] },
    ]).toString(),
    issuer: issuer.subject,
    notBefore: new Date(now - SKEW),
    notAfter: new Date(now + days * DAY),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usages),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(hosts.length === 0
        ? []
        : [
            new x509.SubjectAlternativeNameExtension(
              hosts.map((host) => ({ type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const), value: host })),
            ),
          ]),
    ],
  })
  return { cert: `${certificate.toString('pem')}\n`, key: `${await exportKey(keys.privateKey)}\n` }
}
