import 'reflect-metadata'
import assert from 'node:assert/strict'
import { createHash, webcrypto } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { RegistryClient } from '../../../../agent/images/registry/client.ts'
import type { Repository } from '../../../../agent/images/registry/endpoint.ts'
import type { RegistriesConfig } from '../../../../agent/images/contract.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { systemClock, type Clock } from '../../../../proto/base/clock.ts'
import { seededRandom } from '../../../../proto/base/random.ts'
import { FaultRegistry } from './fault-registry.ts'

const signal = new AbortController().signal
const MANIFEST = Buffer.from('{"schemaVersion":2,"layers":[]}')
const DIGEST = `sha256:${createHash('sha256').update(MANIFEST).digest('hex')}`
const BLOB = `sha256:${'1'.repeat(64)}`

/** Retries come at once; how long they would have waited is written down. */
class HastyClock implements Clock {
  readonly pauses: number[] = []
  now = (): number => systemClock.now()
  monotonic = (): number => systemClock.monotonic()
  after(millis: number, call: () => void) {
    if (millis === 10_000) return systemClock.after(millis, call) // the connection's deadline
    this.pauses.push(millis)
    return systemClock.after(0, call)
  }
}

describe('registry client', () => {
  let registry: FaultRegistry
  let other: FaultRegistry
  let clock: HastyClock
  const clients: RegistryClient[] = []

  beforeEach(async () => {
    clock = new HastyClock()
    registry = new FaultRegistry()
    other = new FaultRegistry()
    await Promise.all([registry.start(), other.start()])
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close()
    await Promise.all([registry.stop(), other.stop()])
  })

  function open(registries: RegistriesConfig = { insecure: [registry.host] }, timeouts = {}): RegistryClient {
    const client = new RegistryClient({ registries, clock, random: seededRandom(1), timeouts })
    clients.push(client)
    return client
  }
  const repository = (credentials: Repository['credentials'] = []): Repository => ({
    registry: registry.host,
    repository: 'app',
    credentials,
  })
  const read = (client: RegistryClient, from = 0): Promise<string> =>
    client.blob(
      repository(),
      BLOB,
      () => Promise.resolve(from),
      async ({ stream }) => (await stream.toArray()).join(''),
      signal,
    )

  it('tries again on 429 and 5xx, as long as Retry-After says', async () => {
    registry.on('GET', '/v2/app/manifests/v1', (_request, response, count) => {
      if (count === 1) return response.writeHead(429, { 'retry-after': '3' }).end()
      if (count === 2) return response.writeHead(503).end()
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end(MANIFEST)
    })
    const manifest = await open().manifest(repository(), 'v1', signal)
    assert.deepEqual([manifest.digest, manifest.bytes], [DIGEST, MANIFEST])
    assert.equal(clock.pauses[0], 3000)
    assert.ok(clock.pauses[1]! > 0 && clock.pauses[1]! <= 5000)
    assert.match(registry.requests[0]!.headers.accept!, /image\.index\.v1\+json.*manifest\.list\.v2\+json/)
  })

  it('gives up after some tries, and at once when asked to wait for long', async () => {
    registry.on('GET', '/v2/app/manifests/v1', (_request, response) =>
      response.writeHead(500).end('{"errors":[{"code":"UNKNOWN","message":"disk on fire"}]}'),
    )
    await assert.rejects(
      open().manifest(repository(), 'v1', signal),
      hasCode('Unavailable', /answers 500 \(UNKNOWN: disk on fire\)/),
    )
    assert.equal(registry.requests.length, 3)
    registry.on('GET', '/v2/app/manifests/v2', (_request, response) =>
      response.writeHead(429, { 'retry-after': '3600' }).end(),
    )
    await assert.rejects(open().manifest(repository(), 'v2', signal), hasCode('Unavailable', /answers 429/))
    assert.equal(registry.count('GET', '/v2/app/manifests/v2'), 1)
  })

  it('reads the digest from HEAD, or from the manifest where HEAD does not tell', async () => {
    registry.on('HEAD', '/v2/app/manifests/v1', (_request, response) =>
      response.writeHead(200, { 'docker-content-digest': DIGEST }).end(),
    )
    assert.equal(await open().resolveTag(repository(), 'v1', signal), DIGEST)
    registry.on('HEAD', '/v2/app/manifests/v2', (_request, response) => response.writeHead(200).end())
    registry.on('GET', '/v2/app/manifests/v2', (_request, response) => response.writeHead(200).end(MANIFEST))
    assert.equal(await open().resolveTag(repository(), 'v2', signal), DIGEST)
  })

  it('refuses a manifest with another digest than asked for, and one too large', async () => {
    const wrong = `sha256:${'2'.repeat(64)}`
    registry.on('GET', `/v2/app/manifests/${wrong}`, (_request, response) => response.writeHead(200).end(MANIFEST))
    await assert.rejects(
      open().manifest(repository(), wrong, signal),
      hasCode('InvalidArgument', new RegExp(`has digest ${DIGEST}`)),
    )
    registry.on('GET', '/v2/app/manifests/huge', (_request, response) =>
      response.writeHead(200).end(Buffer.alloc(5 << 20)),
    )
    await assert.rejects(
      open().manifest(repository(), 'huge', signal),
      hasCode('Unavailable', /larger than 4194304 bytes/),
    )
  })

  it('gets bearer tokens, with credentials if there are any, and keeps them', async () => {
    const basic = `Basic ${Buffer.from('me:pass').toString('base64')}`
    other.on('GET', '/token', (request, response) => {
      const url = new URL(request.url!, 'http://x')
      assert.deepEqual([url.searchParams.get('service'), url.searchParams.get('scope')], ['reg', 'repository:app:pull'])
      if (request.headers.authorization === `Basic ${Buffer.from('me:wrong').toString('base64')}`)
        return response.writeHead(401).end()
      response.end(
        JSON.stringify(
          request.headers.authorization === basic ? { token: 'mine', expires_in: 300 } : { access_token: 'anonymous' },
        ),
      )
    })
    const guard =
      (token: string) =>
      (request: { headers: { authorization?: string } }, response: import('node:http').ServerResponse) => {
        if (request.headers.authorization === `Bearer ${token}`) return response.writeHead(200).end(MANIFEST)
        response
          .writeHead(401, {
            'www-authenticate': `Bearer realm="http://${other.host}/token",service="reg",scope="repository:app:pull"`,
          })
          .end()
      }
    registry.on('GET', '/v2/app/manifests/open', guard('anonymous'))
    registry.on('GET', '/v2/app/manifests/closed', guard('mine'))
    const client = open({ insecure: [registry.host, other.host] })
    const me = repository([{ registry: registry.host, username: 'me', password: 'pass' }])
    await client.manifest(repository(), 'open', signal)
    await client.manifest(repository(), 'open', signal)
    assert.equal(other.requests.length, 1)
    await client.manifest(me, 'closed', signal)
    await client.manifest(me, 'closed', signal)
    assert.equal(other.requests.length, 2)
    await assert.rejects(
      client.manifest(repository(), 'closed', signal),
      hasCode('Unauthenticated', /asks for credentials/),
    )
    await assert.rejects(
      client.manifest(repository([{ registry: registry.host, username: 'me', password: 'wrong' }]), 'closed', signal),
      hasCode('Unauthenticated', /refuses user "me"/),
    )
  })

  it('sends no password to a token service in plain HTTP that is not allowed', async () => {
    registry.on('GET', '/v2/app/manifests/v1', (_request, response) =>
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${other.host}/token"` }).end(),
    )
    await assert.rejects(
      open().manifest(repository([{ registry: registry.host, username: 'me', password: 'pass' }]), 'v1', signal),
      hasCode('FailedPrecondition', /plain HTTP to .* is not allowed/),
    )
    assert.equal(other.requests.length, 0)
  })

  it('names a refusal', async () => {
    registry.on('GET', '/v2/app/manifests/v1', (_request, response) =>
      response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"not yours"}]}'),
    )
    await assert.rejects(
      open().manifest(repository(), 'v1', signal),
      hasCode('Forbidden', /forbids anonymous users to read app \(DENIED: not yours\)/),
    )
  })

  it('follows redirects without the authorization, and not for ever', async () => {
    registry.on('GET', `/v2/app/blobs/${BLOB}`, (request, response) => {
      if (request.headers.authorization === undefined)
        return response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
      response.writeHead(307, { location: `http://${other.host}/store` }).end()
    })
    other.on('GET', '/store', (request, response) => response.end(`authorization: ${request.headers.authorization}`))
    const client = open({ insecure: [registry.host, other.host] })
    const body = await client.blob(
      repository([{ registry: registry.host, username: 'a', password: 'b' }]),
      BLOB,
      () => Promise.resolve(0),
      async ({ stream }) => (await stream.toArray()).join(''),
      signal,
    )
    assert.equal(body, 'authorization: undefined')
    registry.on('GET', '/v2/app/manifests/loop', (_request, response) =>
      response.writeHead(302, { location: '/v2/app/manifests/loop' }).end(),
    )
    await assert.rejects(
      client.manifest(repository(), 'loop', signal),
      hasCode('Unavailable', /redirects more than 5 times/),
    )
    registry.on('GET', '/v2/app/manifests/out', (_request, response) =>
      response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
    )
    await assert.rejects(
      client.manifest(repository(), 'out', signal),
      hasCode('FailedPrecondition', /neither http nor https/),
    )
  })

  it('tries mirrors in order, passes over what fails, and tells what each said', async () => {
    const closed = new FaultRegistry()
    await closed.start()
    const dead = closed.host
    await closed.stop()
    const client = open({
      insecure: [registry.host],
      mirrors: { [registry.host]: [`http://${dead}`, `http://${other.host}/prefix/`] },
    })
    registry.on('GET', '/v2/app/manifests/v1', (_request, response) => response.writeHead(200).end(MANIFEST))
    await client.manifest(repository(), 'v1', signal)
    assert.equal(other.count('GET', '/prefix/v2/app/manifests/v1'), 1)
    await assert.rejects(
      client.manifest(repository(), 'none', signal),
      hasCode(
        'NotFound',
        new RegExp(
          `http://${dead}: cannot reach.*; http://${other.host}: .*has no app:none; http://${registry.host}: .*has no app`,
        ),
      ),
    )
    other.on('GET', '/prefix/v2/app/manifests/v1', (_request, response) =>
      response.writeHead(200).end('from the mirror'),
    )
    assert.equal((await client.manifest(repository(), 'v1', signal)).bytes.toString(), 'from the mirror')
  })

  it('asks for the rest of a blob after a cut', async () => {
    registry.on('GET', `/v2/app/blobs/${BLOB}`, (request, response, count) => {
      if (count === 1)
        return void response.writeHead(200, { 'content-length': '10' }).write('01234', () => response.destroy())
      assert.equal(request.headers.range, 'bytes=5-')
      response.writeHead(206, { 'content-range': 'bytes 5-9/10', 'content-length': '5' }).end('56789')
    })
    let got = ''
    await open().blob(
      repository(),
      BLOB,
      () => Promise.resolve(got.length),
      async ({ stream, resumed }) => {
        assert.equal(resumed, got !== '')
        for await (const chunk of stream) got += String(chunk)
      },
      signal,
    )
    assert.equal(got, '0123456789')
  })

  it('refuses a range that was not asked for', async () => {
    registry.on('GET', `/v2/app/blobs/${BLOB}`, (_request, response) =>
      response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end('0123456789'),
    )
    await assert.rejects(read(open(), 5), hasCode('Unavailable', /answers the range from byte 5 with "bytes 0-9\/10"/))
  })

  it('gives up on silence, before the answer and within the body', async () => {
    registry.on('GET', '/v2/app/manifests/mute', () => undefined)
    await assert.rejects(
      open(undefined, { stallTimeout: 50 }).manifest(repository(), 'mute', signal),
      hasCode('Unavailable', /silent for 50 ms/),
    )
    registry.on(
      'GET',
      `/v2/app/blobs/${BLOB}`,
      (_request, response) => void response.writeHead(200, { 'content-length': '10' }).write('0'),
    )
    await assert.rejects(read(open(undefined, { stallTimeout: 50 })), hasCode('Unavailable', /silent for 50 ms/))
  })

  it('ends at once when it is aborted, before the answer and within the body', async () => {
    const leaving = new AbortController()
    registry.on('GET', '/v2/app/manifests/mute', () => leaving.abort(new GantryError('Cancelled', 'enough')))
    await assert.rejects(open().manifest(repository(), 'mute', leaving.signal), hasCode('Cancelled', /enough/))
    const reading = new AbortController()
    registry.on(
      'GET',
      `/v2/app/blobs/${BLOB}`,
      (_request, response) => void response.writeHead(200, { 'content-length': '10' }).write('0'),
    )
    await assert.rejects(
      open().blob(
        repository(),
        BLOB,
        () => Promise.resolve(0),
        async ({ stream }) => {
          for await (const _ of stream) reading.abort(new GantryError('Cancelled', 'enough'))
        },
        reading.signal,
      ),
      hasCode('Cancelled', /enough/),
    )
    assert.equal(registry.count('GET', `/v2/app/blobs/${BLOB}`), 1)
  })

  it('speaks HTTPS, and trusts a private authority only for its host', async () => {
    const { cert, key } = await selfSigned()
    const secure = new FaultRegistry({ cert, key })
    await secure.start()
    const folder = await mkdtemp(join(tmpdir(), 'gantry-ca-'))
    try {
      await writeFile(join(folder, 'ca.pem'), cert)
      secure.on('GET', '/v2/app/manifests/v1', (_request, response) => response.writeHead(200).end(MANIFEST))
      const here: Repository = { registry: secure.host, repository: 'app', credentials: [] }
      await assert.rejects(
        open({}).manifest(here, 'v1', signal),
        hasCode('FailedPrecondition', /certificate of .* is not trusted.*registries\.ca/),
      )
      assert.equal(
        (await open({ ca: { [secure.host]: join(folder, 'ca.pem') } }).manifest(here, 'v1', signal)).digest,
        DIGEST,
      )
      const both = open({ ca: { [secure.host]: join(folder, 'ca.pem') }, insecure: [registry.host] })
      secure.on('GET', '/v2/app/manifests/moved', (_request, response) =>
        response.writeHead(307, { location: `http://${registry.host}/store` }).end(),
      )
      await assert.rejects(
        both.manifest(here, 'moved', signal),
        hasCode('FailedPrecondition', /redirects from HTTPS to plain HTTP/),
      )
      secure.on('GET', '/v2/app/manifests/closed', (_request, response) =>
        response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${registry.host}/token"` }).end(),
      )
      await assert.rejects(
        both.manifest(
          { ...here, credentials: [{ registry: secure.host, username: 'me', password: 'pass' }] },
          'closed',
          signal,
        ),
        hasCode('FailedPrecondition', /names a token service that is not/),
      )
      assert.deepEqual(registry.requests, [])
      await assert.rejects(
        open({ ca: { [secure.host]: join(folder, 'missing.pem') } }).manifest(here, 'v1', signal),
        hasCode('FailedPrecondition', /certificates of registry .*ENOENT/),
      )
    } finally {
      await secure.stop()
      await rm(folder, { recursive: true })
    }
  })
})

async function selfSigned(): Promise<{ cert: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=test',
      keys,
      signingAlgorithm: algorithm,
      notAfter: new Date(systemClock.now() + 3_600_000),
      extensions: [
        new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
        new x509.BasicConstraintsExtension(true),
      ],
    },
    webcrypto,
  )
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return {
    cert: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
  }
}

function hasCode(code: GantryError['code'], message: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof GantryError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    return true
  }
}
