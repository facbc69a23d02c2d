import assert from 'node:assert/strict'
import { createHash, webcrypto } from 'node:crypto'
import { connect as connectTcp, type AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import * as grpc from '@grpc/grpc-js'
import { createAuthority, issue, type KeyPair } from '../../../deploy/ca.ts'
import { IngressFixture } from './ingress-fixture.ts'
import { service, slice, tlsSecret } from './objects.ts'

const ingress = (name: string, backend: string, more = ''): string => `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: ${name} ${more} }
spec:
  tls: [{ hosts: [${name}.example.com], secretName: ${name} }]
  rules: [{ host: ${name}.example.com, http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: ${backend}, port: { number: 80 } } } }] } }]
---
`

describe('ingress proxy, with haproxy: TLS, websockets, gRPC', function () {
  this.timeout(60_000)
  let lab: IngressFixture
  let authority: KeyPair
  const certificate = async (name: string) =>
    tlsSecret(name, await issue(authority, { commonName: name, hosts: [`${name}.example.com`] }, Date.now()))
  before(async () => void (authority = await createAuthority('test', Date.now())))
  beforeEach(async () => void (lab = await IngressFixture.open()))
  afterEach(() => lab.close())

  it('ends TLS with the certificate of the host, and sends clients of HTTP there', async () => {
    const pod = await lab.pod('web')
    await lab.apply(
      service('web'),
      slice('web', ['127.0.0.1'], pod.port),
      await certificate('one'),
      await certificate('two'),
      ingress('one', 'web'),
      ingress('two', 'web', ', annotations: { gantry.dev/ssl-redirect: "false" }'),
      ingress('three', 'web'),
    )
    const redirect = await lab.request('/a?b=c', { host: 'one.example.com' })
    assert.deepEqual([redirect.status, redirect.headers.location], [308, `https://one.example.com:${lab.https}/a?b=c`])
    assert.equal((await lab.request('/', { host: 'two.example.com' })).status, 200)
    const { seen } = await lab.request('/', { host: 'one.example.com', tls: true })
    assert.equal(seen!.headers['x-forwarded-proto'], 'https')
    assert.deepEqual(
      await Promise.all(['one', 'two', 'three', 'four'].map((name) => shown(lab.https, `${name}.example.com`))),
      ['one', 'two', 'gantry-entrance', 'gantry-entrance'],
    )
    assert.deepEqual(
      lab.problems.map(({ name, reason }) => [name, reason]),
      [['three', 'InvalidCertificate']],
    )
    // A certificate that comes later, or anew, is shown at once.
    await lab.apply(await certificate('three'))
    assert.equal(await shown(lab.https, 'three.example.com'), 'three')
  })

  it('serves the others when a certificate is too weak for the proxy', async () => {
    const pod = await lab.pod('web')
    await lab.apply(
      service('web'),
      slice('web', ['127.0.0.1'], pod.port),
      await certificate('one'),
      tlsSecret('weak', await weakCertificate()),
      ingress('one', 'web'),
      ingress('weak', 'web'),
    )
    assert.deepEqual(await Promise.all(['one', 'weak'].map((name) => shown(lab.https, `${name}.example.com`))), [
      'one',
      'gantry-entrance',
    ])
    assert.deepEqual(
      lab.problems.map(({ name, reason }) => [name, reason]),
      [['weak', 'InvalidCertificate']],
    )
    assert.match(lab.problems[0]!.message, /Secret default\/weak cannot be read: .*key too small/)
  })

  it('passes websockets on', async () => {
    const pod = await lab.pod('ws')
    pod.server.on('upgrade', (request, socket) => {
      const accept = createHash('sha1')
        .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      )
      socket.pipe(socket)
    })
    await lab.apply(
      service('ws'),
      slice('ws', ['127.0.0.1'], pod.port),
      ingress('ws', 'ws', ', annotations: { gantry.dev/ssl-redirect: "false" }'),
    )
    const socket = connectTcp(lab.http, '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => void (text += chunk))
    const has = (wanted: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => void (text.includes(wanted) && (socket.off('data', look), resolve()))
        socket.on('data', look).once('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)))
        look()
      })
    socket.write(
      'GET / HTTP/1.1\r\nHost: ws.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n',
    )
    await has('101 Switching Protocols')
    socket.write('echo one')
    await has('echo one')
    // It outlives another configuration.
    await lab.apply(ingress('other', 'ws'))
    socket.write('echo two')
    await has('echo two')
    socket.destroy()
  })

  it('serves gRPC over TLS to pods that speak it in the clear', async () => {
    const identity = (value: Buffer): Buffer => value
    const shape = {
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    }
    const definition = {
      call: { path: '/Test/Call', requestStream: false, responseStream: false, ...shape },
      chat: { path: '/Test/Chat', requestStream: true, responseStream: true, ...shape },
    }
    const server = new grpc.Server()
    server.addService(definition, {
      call: (call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) =>
        answer(null, Buffer.from(`got ${call.request.toString()}`)),
      chat: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
        call.on('data', (part: Buffer) => call.write(Buffer.from(`echo ${part.toString()}`)))
        call.on('end', () => call.end())
      },
    })
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    )
    await lab.apply(
      service('g', { ports: [{ name: 'http', port: 80, protocol: 'TCP', appProtocol: 'kubernetes.io/h2c' }] }),
      slice('g', ['127.0.0.1'], port),
      await certificate('g'),
      ingress('g', 'g'),
    )
    const Client = grpc.makeGenericClientConstructor(definition as unknown as grpc.ServiceDefinition, 'Test')
    const client = new Client(`127.0.0.1:${lab.https}`, grpc.credentials.createSsl(Buffer.from(authority.cert)), {
      'grpc.ssl_target_name_override': 'g.example.com',
      'grpc.default_authority': 'g.example.com',
    }) as unknown as grpc.Client & {
      call: (request: Buffer, done: (error: grpc.ServiceError | null, answer?: Buffer) => void) => void
      chat: () => grpc.ClientDuplexStream<Buffer, Buffer>
    }
    try {
      const answer = await new Promise<string>((resolve, reject) =>
        client.call(Buffer.from('x'), (error, value) => (error === null ? resolve(value!.toString()) : reject(error))),
      )
      assert.equal(answer, 'got x')
      const chat = client.chat()
      const next = (): Promise<string> =>
        new Promise((resolve, reject) =>
          chat.once('data', (part: Buffer) => resolve(part.toString())).once('error', reject),
        )
      for (const word of ['one', 'two', 'three']) {
        const heard = next()
        chat.write(Buffer.from(word))
        assert.equal(await heard, `echo ${word}`)
      }
      const ended = new Promise<number>((resolve) => chat.once('status', ({ code }) => resolve(code)))
      chat.end()
      assert.equal(await ended, 0)
    } finally {
      client.close()
      server.forceShutdown()
    }
  })

  it('resolves the name of an ExternalName Service, but not to what only the node itself reaches', async () => {
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((address) => address?.family === 'IPv4' && !address.internal)?.address
    assert.ok(outside !== undefined, 'the machine has no address but loopback')
    const addresses: Readonly<Record<string, string>> = {
      'outside.example.org': outside,
      'inside.example.org': '127.0.0.1',
      'six.example.org': '::1',
    }
    const { createSocket } = await import('node:dgram')
    const dns = (await import('dns-packet')).default
    const pod = await lab.pod('outside', '0.0.0.0')
    const server = createSocket('udp4')
    server.on('message', (message, peer) => {
      const query = dns.decode(message)
      const [question] = query.questions!
      const address = addresses[question!.name.toLowerCase()]
      const type = address?.includes(':') === true ? 'AAAA' : 'A'
      const answers =
        address === undefined || question!.type !== type
          ? []
          : [{ type, name: question!.name, ttl: 5, data: address } as const]
      server.send(
        dns.encode({
          type: 'response',
          id: query.id!,
          flags: dns.RECURSION_DESIRED | dns.RECURSION_AVAILABLE,
          questions: query.questions!,
          answers,
        }),
        peer.port,
        peer.address,
      )
    })
    await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve))
    try {
      await lab.proxy.stop()
      lab.begin([`127.0.0.1:${(server.address() as AddressInfo).port}`])
      const named = (name: string, externalName: string) =>
        service(name, { type: 'ExternalName', externalName, ports: [{ port: pod.port, protocol: 'TCP' }] })
      const path = (name: string): string =>
        `{ path: /${name}, pathType: Prefix, backend: { service: { name: ${name}, port: { number: ${pod.port} } } } }`
      await lab.apply(
        named('out', 'outside.example.org'),
        named('in', 'inside.example.org'),
        named('six', 'six.example.org'),
        named('number', '127.0.0.1'),
        `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: ext }
spec: { rules: [{ http: { paths: [${['out', 'in', 'six', 'number'].map(path).join(', ')}] } }] }
`,
      )
      assert.equal((await lab.request('/out')).seen?.pod, 'outside')
      const answers = await Promise.all(['/in', '/six', '/number'].map(async (at) => await lab.request(at)))
      assert.deepEqual(
        answers.map(({ status, body }) => [status, body]),
        [
          ...Array<[number, string]>(2).fill([503, "the backend's name leads to the node itself."]),
          [503, "the backend's name has no address."],
        ],
      )
      assert.equal(pod.count(), 1)
    } finally {
      server.close()
    }
  })
})

async function shown(port: number, servername: string): Promise<string> {
  const { connect } = await import('node:tls')
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host: '127.0.0.1', port, servername, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] },
      () => {
        assert.equal(socket.alpnProtocol, 'h2')
        resolve(String(socket.getPeerCertificate().subject.CN))
        socket.destroy()
      },
    )
    socket.on('error', reject)
  })
}

/** Of an RSA key of 1024 bits, which OpenSSL refuses as the distribution has it. */
async function weakCertificate(): Promise<{ cert: string; key: string }> {
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  x509.cryptoProvider.set(webcrypto)
  const algorithm = {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 1024,
  }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=weak',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: algorithm,
    keys,
  })
  return {
    cert: certificate.toString('pem'),
    key: x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY'),
  }
}
