import assert from 'node:assert/strict'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer, type Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { createAuthority, issue } from '../../../../deploy/ca.ts'
import { eventually } from '../../../eventually.ts'
import { StreamsFixture } from './fixture.ts'

const PAGE = '<a href="/x">/x</a><img alt="é" src=/y><a href="z"><script src="//example.com/s"></script>'
const BASE = '/api/v1/namespaces/default'

describe('proxy of the Kubernetes face', () => {
  let fixture: StreamsFixture
  let port: number
  let tlsPort: number
  let strangePort: number
  const servers: Server[] = []
  const cut = new Set<Duplex>()
  /** The last request that the pod has had. */
  let asked: IncomingMessage
  let body: string

  const listen = (server: Server): Promise<number> =>
    new Promise((resolve) => {
      servers.push(server)
      server.on('connection', (socket) => cut.add(socket))
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
    })

  const slice = (name: string, ports: object[], endpoints: object[]): Promise<unknown> =>
    fixture.face.api.create<'EndpointSlice'>(
      {
        kind: 'EndpointSlice',
        metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        ports,
        endpoints,
      } as never,
      { fieldManager: 'test' },
    )

  before(async () => {
    fixture = await StreamsFixture.start()
    const serve = async (request: IncomingMessage, response: import('node:http').ServerResponse): Promise<void> => {
      asked = request
      body = ''
      for await (const chunk of request) body += (chunk as Buffer).toString()
      const path = request.url!.split('?')[0]!
      const location: Record<string, string> = {
        '/moved': '/there?x=1',
        '/absolute': `http://${request.headers.host}/there`,
        '/elsewhere': 'https://example.com/there',
        '/root': `http://${request.headers.host}`,
        '/relative': 'there',
      }
      if (location[path] !== undefined) return void response.writeHead(302, { Location: location[path] }).end()
      if (path === '/cut') {
        response.write('half')
        return void setImmediate(() => response.destroy())
      }
      if (path === '/page')
        return void response
          .writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Length': Buffer.byteLength(PAGE) })
          .end(PAGE)
      if (path === '/big') return void response.end('x'.repeat(5_000_000))
      response
        .writeHead(path === '/missing' ? 404 : 201, {
          'X-Kind': 'test',
          'Set-Cookie': ['a=1', 'b=2'],
          Connection: 'keep-alive, x-hop',
          'X-Hop': 'here',
        })
        .end(`${request.method} ${request.url}`)
    }
    const server = createHttpServer((request, response) => void serve(request, response))
    server.on('upgrade', (request, socket: Duplex, head: Buffer) => {
      asked = request
      cut.add(socket)
      if (request.url === '/refused') return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.write(head)
      socket.pipe(socket)
    })
    // Words that no server of Node.js would say.
    const strange = createServer((socket) => {
      socket
        .on('error', () => socket.destroy())
        .once('data', (chunk: Buffer) => {
          const path = chunk.toString().split(' ')[1]!
          socket.end(
            path === '/low'
              ? 'HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n'
              : 'HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nhi',
          )
        })
    })
    strangePort = await listen(strange)
    port = await listen(server)
    const pair = await issue(
      await createAuthority('pod', Date.now()),
      { commonName: 'pod', hosts: ['pod'] },
      Date.now(),
    )
    tlsPort = await listen(createTlsServer(pair, (request, response) => void serve(request, response)))

    await fixture.pod('web', { ports: [{ name: 'http', containerPort: port }] })
    await fixture.pod('done', { state: { terminated: { exitCode: 0 } }, phase: 'Succeeded' })
    const context = { fieldManager: 'test' }
    const service = (name: string, ports: object[]): Promise<unknown> =>
      fixture.face.api.create<'Service'>(
        {
          kind: 'Service',
          metadata: { name, namespace: 'default' },
          spec: { clusterIP: 'None', selector: { app: name }, ports },
        } as never,
        context,
      )
    await service('web', [
      { name: 'http', port: 80 },
      { name: 'https', port: 443 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ])
    await slice(
      'web',
      [
        { name: 'http', port },
        { name: 'https', port: tlsPort },
      ],
      [
        {
          addresses: ['10.0.0.1'],
          conditions: { ready: true },
          targetRef: { kind: 'Pod', name: 'web', namespace: 'default' },
        },
        {
          addresses: ['10.0.0.2'],
          conditions: { ready: false },
          targetRef: { kind: 'Pod', name: 'not-ready', namespace: 'default' },
        },
        { addresses: ['10.0.0.3'], conditions: { ready: true } },
      ],
    )
    await service('one', [{ port: 8080 }])
    await slice(
      'one',
      [{ port }],
      [
        {
          addresses: ['10.0.0.1'],
          conditions: { ready: true },
          targetRef: { kind: 'Pod', name: 'web', namespace: 'default' },
        },
      ],
    )
    await service('empty', [{ port: 80 }])
  })

  after(async () => {
    for (const socket of cut) socket.destroy()
    for (const server of servers) server.close()
    await fixture.stop()
  })

  const idle = (): Promise<unknown> => eventually(() => fixture.pods.running === 0)

  it('hands on method, path, query, headers and body, and the answer as it is', async () => {
    const {
      status,
      headers,
      body: answer,
    } = await fixture.face.send('POST', `${BASE}/services/web:80/proxy/a%20b/?c=d&e=%26`, {
      body: '{"x":1}',
      headers: { 'X-Own': 'mine', 'X-Forwarded-For': '10.9.9.9', 'X-Hop': 'dropped', Connection: 'x-hop' },
    })
    assert.deepEqual(
      [status, headers['x-kind'], headers['set-cookie'], headers['x-hop'], answer.toString()],
      [201, 'test', ['a=1', 'b=2'], undefined, 'POST /a%20b/?c=d&e=%26'],
    )
    assert.deepEqual(
      [body, asked.headers['x-own'], asked.headers['x-hop'], asked.headers['content-type']],
      ['{"x":1}', 'mine', undefined, 'application/json'],
    )
    assert.deepEqual(
      ['for', 'host', 'proto', 'uri'].map((what) => asked.headers[`x-forwarded-${what}`]),
      ['10.9.9.9, 127.0.0.1', fixture.face.address, 'https', `${BASE}/services/web:80/proxy/a%20b/`],
    )
    await idle()
  })

  it('leads the links of a page through the proxy, and leaves other documents as they are', async () => {
    const { status, body: page } = await fixture.face.get(`${BASE}/pods/web/proxy/page`)
    const prefix = `${BASE}/pods/web/proxy`
    assert.deepEqual(
      [status, page.toString()],
      [
        200,
        `<a href="${prefix}/x">/x</a><img alt="é" src=${prefix}/y><a href="z"><script src="//example.com/s"></script>`,
      ],
    )
    await fixture.face.get(`${BASE}/pods/web/proxy/page`, {
      headers: { Accept: 'text/html', 'Accept-Encoding': 'gzip' },
    })
    assert.equal(asked.headers['accept-encoding'], 'identity')
    await fixture.face.get(`${BASE}/pods/web/proxy/x`, { headers: { 'Accept-Encoding': 'gzip' } })
    assert.equal(asked.headers['accept-encoding'], 'gzip')
    await idle()
  })

  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    it(`hands on ${method}`, async () => {
      const { status, body: answer } = await fixture.face.send(method, `${BASE}/pods/web/proxy/x`)
      assert.deepEqual(
        [status, asked.method, answer.toString()],
        [201, method, method === 'HEAD' ? '' : `${method} /x`],
      )
    })
  }

  it('hands on a body whose length was not told, whatever the method', async () => {
    for (const method of ['DELETE', 'POST', 'GET']) {
      assert.equal(await fixture.chunked(method, `${BASE}/pods/web/proxy/x`, ['hel', 'lo']), 201)
      assert.deepEqual([asked.method, body], [method, 'hello'])
    }
  })

  it('finds a port by number or name, the only one, and that of a pod', async () => {
    for (const reference of [
      'services/web:http',
      'services/http:web:80',
      'services/one',
      'services/one:8080',
      'pods/web',
      'pods/web:http',
      `pods/web:${port}`,
    ]) {
      assert.equal((await fixture.face.get(`${BASE}/${reference}/proxy/`)).body.toString(), 'GET /', reference)
    }
    assert.ok(
      fixture.pods.forwarded.every((start) => start.pod === 'web'),
      'what is not ready, or no pod, is not chosen',
    )
  })

  it('speaks TLS where that is asked for', async () => {
    for (const reference of ['services/https:web:https', 'services/https:web:443', `pods/https:web:${tlsPort}`])
      assert.equal((await fixture.face.get(`${BASE}/${reference}/proxy/x`)).body.toString(), 'GET /x')
  })

  it('keeps redirects within itself, and leaves those that lead elsewhere', async () => {
    const prefix = `${BASE}/services/one/proxy`
    for (const [path, location] of [
      ['moved', `${prefix}/there?x=1`],
      ['absolute', `${prefix}/there`],
      ['root', `${prefix}/`],
      ['elsewhere', 'https://example.com/there'],
      ['relative', 'there'],
    ]) {
      assert.equal((await fixture.face.get(`${prefix}/${path}`)).headers.location, location, path)
    }
    const { status, headers } = await fixture.face.get(`${prefix}?a=b`)
    assert.deepEqual([status, headers.location], [301, `${prefix}/?a=b`])
  })

  it('keeps from the pod who the caller is', async () => {
    await fixture.face.get(`${BASE}/pods/web/proxy/x`, {
      headers: { Authorization: 'Bearer secret', 'Impersonate-User': 'bert', 'Impersonate-Group': 'system:masters' },
    })
    assert.deepEqual(
      Object.keys(asked.headers).filter((name) => /^(authorization|impersonate-.*)$/.test(name)),
      [],
    )
    const { socket } = await fixture.upgrade(
      `${BASE}/pods/web/proxy/ws`,
      { Upgrade: 'echo', 'Sec-WebSocket-Protocol': 'base64url.bearer.authorization.k8s.io.c2VjcmV0, chat' },
      'GET',
    )
    assert.equal(asked.headers['sec-websocket-protocol'], 'chat')
    socket!.destroy()
    await idle()
  })

  it('survives what a pod says that cannot be said on', async () => {
    const phrase = await fixture.face.get(`${BASE}/pods/web:${strangePort}/proxy/phrase`)
    assert.deepEqual([phrase.status, phrase.body.toString()], [200, 'hi'])
    for (const headers of [{}, { Connection: 'Upgrade', Upgrade: 'echo' }] as Record<string, string>[]) {
      const low = await fixture.face.get(`${BASE}/pods/web:${strangePort}/proxy/low`, { headers })
      assert.deepEqual(
        [low.status, low.json.message],
        [503, 'error trying to reach service: the other side answers with status 99'],
      )
    }
    await idle()
  })

  it('passes much, and cuts what is cut', async () => {
    assert.equal((await fixture.face.get(`${BASE}/pods/web/proxy/big`)).body.length, 5_000_000)
    await assert.rejects(fixture.face.get(`${BASE}/pods/web/proxy/cut`), /aborted|socket hang up|ECONNRESET/)
    await idle()
  })

  it('joins upgraded connections until one side ends', async () => {
    const { message, socket, head } = await fixture.upgrade(
      `${BASE}/services/web:http/proxy/ws?x=y`,
      { Upgrade: 'echo', 'X-Own': 'mine' },
      'GET',
    )
    assert.deepEqual(
      [message.statusCode, message.headers.upgrade, asked.url, asked.headers['x-own'], head!.length],
      [101, 'echo', '/ws?x=y', 'mine', 0],
    )
    let text = ''
    socket!.on('data', (chunk: Buffer) => (text += chunk.toString()))
    socket!.write('ping')
    await eventually(() => text === 'ping')
    let ended = false
    socket!.on('end', () => (ended = true))
    for (const other of cut) other.destroy()
    await eventually(() => ended)
    await idle()
  })

  it('lets nothing through to a pod that refused to change the protocol', async () => {
    const { message } = await fixture.upgrade(`${BASE}/pods/web/proxy/refused`, { Upgrade: 'echo' }, 'GET')
    assert.deepEqual([message.statusCode, message.headers.connection], [403, 'close'])
    let text = ''
    for await (const chunk of message) text += (chunk as Buffer).toString()
    assert.equal(text, 'no')
    await eventually(() => message.socket.destroyed)
    await idle()
  })

  it('ends with the client', async () => {
    const { socket } = await fixture.upgrade(`${BASE}/pods/web/proxy/ws`, { Upgrade: 'echo' }, 'GET')
    await eventually(() => fixture.pods.running === 1)
    socket!.destroy()
    await idle()
  })

  for (const [path, code, words] of [
    ['services/none/proxy/', 404, /services "none" not found/],
    ['pods/none/proxy/', 404, /pods "none" not found/],
    [
      'services/web/proxy/',
      400,
      /several ports: say which, as web:PORT; it has 80 \(http\), 443 \(https\), 53 \(dns\)/,
    ],
    ['services/web:81/proxy/', 400, /has no port 81/],
    ['services/web:53/proxy/', 400, /UDP/],
    ['services/ftp:web:80/proxy/', 400, /is not \[SCHEME:\]NAME\[:PORT\]/],
    ['services/empty/proxy/', 503, /no endpoints available for service "empty"/],
    ['pods/web:x/proxy/', 400, /no port named "x"/],
    ['pods/web:0/proxy/', 400, /0 is no port/],
    ['pods/web:1/proxy/', 503, /error trying to reach service: connection refused/],
    ['pods/done/proxy/', 400, /has ended/],
  ] as const) {
    it(`answers for ${path} what is wrong`, async () => {
      const { status, json, headers } = await fixture.face.get(`${BASE}/${path}`)
      assert.deepEqual([status, json.kind, json.code, headers['retry-after']], [code, 'Status', code, undefined])
      assert.match(json.message as string, words)
    })
  }
})
