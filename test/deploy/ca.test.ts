import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { createAuthority, issue } from '../../deploy/ca.ts'

const NOW = Date.UTC(2026, 0, 31)

describe('certificate authority', () => {
  it('issues certificates that say who and where, valid from just before now', async () => {
    const authority = await createAuthority('gantry-test', NOW)
    const pair = await issue(
      authority,
      { commonName: 'system:node:n1', organizations: ['system:nodes'], hosts: ['10.0.0.1', 'controller'], days: 30 },
      NOW,
    )
    const certificate = new X509Certificate(pair.cert)
    assert.ok(certificate.verify(new X509Certificate(authority.cert).publicKey))
    assert.equal(certificate.subject, 'O=system:nodes\nCN=system:node:n1')
    assert.equal(certificate.checkIP('10.0.0.1'), '10.0.0.1')
    assert.equal(certificate.checkHost('controller'), 'controller')
    assert.ok(Date.parse(certificate.validFrom) < NOW && NOW - Date.parse(certificate.validFrom) < 3_600_000)
    assert.equal(Date.parse(certificate.validTo), NOW + 30 * 86_400_000)
    assert.equal(certificate.ca, false)
    // This throws if the key is not the certificate's.
    createSecureContext({ ca: authority.cert, cert: pair.cert, key: pair.key })
  })

  it('names the keys, so that strict clients accept the certificates', async () => {
    const authority = await createAuthority('gantry-test', Date.now())
    const folder = await mkdtemp(join(tmpdir(), 'gantry-ca-'))
    try {
      const [ca, leaf] = [join(folder, 'ca.crt'), join(folder, 'leaf.crt')]
      await writeFile(ca, authority.cert)
      for (const hosts of [['10.0.0.1', 'controller'], []]) {
        await writeFile(leaf, (await issue(authority, { commonName: 'someone', hosts }, Date.now())).cert)
        const { status, stderr } = spawnSync('openssl', ['verify', '-x509_strict', '-CAfile', ca, leaf], {
          encoding: 'utf8',
        })
        assert.equal(status, 0, stderr)
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it("makes a client's certificate of no use to a server", async () => {
    const authority = await createAuthority('gantry-test', NOW)
    const certificate = new X509Certificate(
      (await issue(authority, { commonName: 'admin', organizations: ['system:masters'] }, NOW)).cert,
    )
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'])
    assert.equal(certificate.subjectAltName, undefined)
  })

  it('is not fooled by another authority of the same name', async () => {
    const [mine, other] = [await createAuthority('gantry-test', NOW), await createAuthority('gantry-test', NOW)]
    const certificate = new X509Certificate((await issue(other, { commonName: 'admin' }, NOW)).cert)
    assert.ok(!certificate.verify(new X509Certificate(mine.cert).publicKey))
  })
})
