/** Probes against real servers on loopback. */
import assert from 'node:assert/strict'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer } from 'node:net'
import { Server as GrpcServer, ServerCredentials, status } from '@grpc/grpc-js'
import { NodeHandlerRunner } from '../../../../agent/pods/health/node-handler-runner.ts'
import { decodeResponse, encodeRequest } from '../../../../agent/pods/health/grpc-health.ts'
import type { HandlerTarget, ProbeOutcome } from '../../../../agent/pods/health/contract.ts'
import type { ExecRequest } from '../../../../agent/runtime/contract.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { HTTPGetAction, ProbeHandler } from '../../../../proto/gen/types.ts'
import { until } from '../../fakes.ts'
import { selfSigned } from '../../../self-signed.ts'

const TARGET: HandlerTarget = {
  instanceId: 'c1',
  address: '127.0.0.1',
  ports: [{ name: 'web', containerPort: 0, protocol: 'TCP' }],
}
const never = new AbortController().signal

/** Ends after so many milliseconds, as a probe's timeout does. */
function late(millis: number): AbortSignal {
  const controller = new AbortController()
  setTimeout(() => controller.abort(new GantryError('DeadlineExceeded', 'no answer within 1 s')), millis)
  return controller.signal
}

describe('probes of the node', () => {
  const closing: (() => Promise<unknown>)[] = []
  const exec: {
    request?: ExecRequest
    signal?: AbortSignal
    run: (request: ExecRequest, signal: AbortSignal) => Promise<{ exitCode: number; message: string }>
  } = { run: () => Promise.resolve({ exitCode: 0, message: '' }) }
  const actions = new NodeHandlerRunner({
    version: '9.9',
    runtime: { exec: (id, request, signal) => (assert.equal(id, 'c1'), exec.run(request, signal)) },
  })

  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })

  async function listen(server: Server | TcpServer): Promise<number> {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closing.push(() => new Promise((resolve) => server.close(resolve)))
    return (server.address() as AddressInfo).port
  }

  const serve = (listener: RequestListener): Promise<number> => listen(createServer(listener))
  const http = (port: number | string, more: Partial<HTTPGetAction> = {}): ProbeHandler => ({
    httpGet: { port, path: '/', scheme: 'HTTP', ...more },
  })
  const ask = (handler: ProbeHandler, signal = never, target = TARGET): Promise<ProbeOutcome> =>
    actions.probe(handler, target, signal)

  for (const [code, verdict] of [
    [200, 'success'],
    [204, 'success'],
    [299, 'success'],
    [304, 'warning'],
    [400, 'failure'],
    [404, 'failure'],
    [500, 'failure'],
  ] as const) {
    it(`calls an answer of ${code} a ${verdict}`, async () => {
      const port = await serve((_request, response) => void response.writeHead(code).end())
      assert.equal((await ask(http(port))).verdict, verdict)
    })
  }

  it('asks for the path with its query, as Kubernetes introduces itself, and closes the connection', async () => {
    const seen: { url: string | undefined; headers: NodeJS.Dict<string | string[]> }[] = []
    let open = 0
    const server = createServer((request, response) => {
      seen.push({ url: request.url, headers: request.headers })
      response.end('fine')
    })
    server.on('connection', (socket) => {
      open++
      socket.on('close', () => open--)
    })
    const port = await listen(server)
    assert.deepEqual(
      await ask(http('web', { path: 'healthz?deep=1' }), never, {
        ...TARGET,
        ports: [{ name: 'web', containerPort: port, protocol: 'TCP' }],
      }),
      { verdict: 'success', message: 'fine' },
    )
    assert.equal(seen[0]!.url, '/healthz?deep=1')
    assert.match(String(seen[0]!.headers['user-agent']), /^kube-probe\/1\.\d+ gantry\/9\.9$/)
    assert.equal(seen[0]!.headers.accept, '*/*')
    assert.equal(seen[0]!.headers.connection, 'close')
    await until('no connection is left', () => open === 0)
  })

  it('sends the headers given, and leaves out those given empty', async () => {
    let headers: NodeJS.Dict<string | string[]> = {}
    const port = await serve((request, response) => {
      headers = request.headers
      response.end()
    })
    await ask(
      http(port, {
        httpHeaders: [
          { name: 'Host', value: 'shop.example' },
          { name: 'X-Probe', value: 'a' },
          { name: 'X-Probe', value: 'b' },
          { name: 'Accept', value: '' },
          { name: 'User-Agent', value: 'mine' },
        ],
      }),
    )
    assert.deepEqual(
      [headers.host, headers['x-probe'], headers.accept, headers['user-agent']],
      ['shop.example', 'a, b', undefined, 'mine'],
    )
  })

  it('asks another host where the probe names one', async () => {
    const port = await serve((_request, response) => void response.end('here'))
    assert.equal(
      (await ask(http(port, { host: 'localhost' }), never, { ...TARGET, address: '192.0.2.9' })).message,
      'here',
    )
  })

  it('follows redirects to the same host, also to another port', async () => {
    const other = await serve((_request, response) => void response.end('there'))
    const port = await serve((request, response) => {
      const to = request.url === '/' ? '/step' : `http://127.0.0.1:${other}/x`
      response.writeHead(request.url === '/' ? 302 : 307, { location: to }).end()
    })
    assert.deepEqual(await ask(http(port)), { verdict: 'success', message: 'there' })
  })

  it('does not follow a redirect to another host, and warns', async () => {
    const port = await serve(
      (_request, response) => void response.writeHead(302, { location: 'http://192.0.2.7/' }).end('moved'),
    )
    assert.deepEqual(await ask(http(port)), {
      verdict: 'warning',
      message: 'Probe terminated redirects, response body: moved',
    })
  })

  it('fails after ten redirects', async () => {
    let asked = 0
    const port = await serve((_request, response) => void response.writeHead(301, { location: `/${++asked}` }).end())
    const outcome = await ask(http(port))
    assert.deepEqual([outcome.verdict, asked], ['failure', 10])
    assert.match(outcome.message, /stopped after 10 redirects/)
  })

  it('shows the begin of what a failure says', async () => {
    const port = await serve(
      (_request, response) => void response.writeHead(503).end(`database is away${'.'.repeat(50_000)}`),
    )
    const { verdict, message } = await ask(http(port))
    assert.equal(verdict, 'failure')
    assert.match(message, /^HTTP probe failed with statuscode: 503: database is away\.+…$/)
    assert.ok(message.length < 1200)
  })

  it('does not wait for the end of a body that has none', async () => {
    const port = await serve((_request, response) => {
      response.writeHead(200)
      response.write('.'.repeat(20_000))
    })
    assert.equal((await ask(http(port))).message.length, 10 * 1024)
  })

  it('takes any certificate over HTTPS', async () => {
    const server = createSecureServer(
      await selfSigned('wrong.example'),
      (_request, response) => void response.end('secret'),
    )
    assert.deepEqual(await ask(http(await listen(server as unknown as Server), { scheme: 'HTTPS' })), {
      verdict: 'success',
      message: 'secret',
    })
  })

  it('names what stands in the way: nobody listens, no answer in time, no such port', async () => {
    const closed = await serve(() => undefined)
    await closing.pop()!()
    const refused = await ask(http(closed))
    assert.equal(refused.verdict, 'failure')
    assert.match(refused.message, new RegExp(`^Get "http://127.0.0.1:${closed}/": .*ECONNREFUSED`))
    const silent = createTcpServer()
    const sockets: { destroy(): void }[] = []
    silent.on('connection', (socket) => sockets.push(socket))
    const port = await listen(silent)
    const slow = await ask(http(port), late(50))
    sockets.forEach((socket) => socket.destroy())
    assert.deepEqual(slow, { verdict: 'failure', message: `Get "http://127.0.0.1:${port}/": no answer within 1 s` })
    assert.deepEqual(await ask(http('metrics')), {
      verdict: 'error',
      message: 'the container has no port named "metrics"',
    })
  })

  it('opens a TCP connection and closes it', async () => {
    let seen = 0
    const server = createTcpServer((socket) => {
      socket.on('error', () => assert.fail('the connection was reset'))
      socket.on('end', () => seen++)
      socket.resume()
    })
    const port = await listen(server)
    assert.equal((await ask({ tcpSocket: { port } })).verdict, 'success')
    await until('the server saw its end', () => seen === 1)
    await closing.pop()!()
    assert.deepEqual((await ask({ tcpSocket: { port } })).verdict, 'failure')
  })

  it('runs a command, tells its output, and kills it when it is late', async () => {
    exec.run = (request) => {
      void request.output('stdout', Buffer.from('not '))
      void request.output('stderr', Buffer.from('well\n'))
      return Promise.resolve({ exitCode: 3, message: '' })
    }
    assert.deepEqual(await ask({ exec: { command: ['check', 'all'] } }), { verdict: 'failure', message: 'not well' })
    exec.run = (request) => {
      for (let count = 0; count < 100; count++) void request.output('stdout', Buffer.alloc(1000, 'x'))
      return Promise.resolve({ exitCode: 0, message: '' })
    }
    const long = await ask({ exec: { command: ['yes'] } })
    assert.deepEqual([long.verdict, long.message.length], ['success', 10 * 1024])
    exec.run = (_request, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    assert.deepEqual(await ask({ exec: { command: ['sleep', '9'] } }, late(20)), {
      verdict: 'failure',
      message: 'command "sleep 9" was ended: no answer within 1 s',
    })
  })

  it('fails a hook whose command fails or whose request finds nobody; any answer is enough', async () => {
    exec.run = () => Promise.resolve({ exitCode: 1, message: '' })
    await assert.rejects(actions.hook({ exec: { command: ['warm'] } }, TARGET, never), /"warm" exited with 1/)
    const port = await serve((request, response) => void response.writeHead(500).end(request.headers['user-agent']))
    await actions.hook(http(port), TARGET, never)
    await closing.pop()!()
    await assert.rejects(actions.hook(http(port), TARGET, never), /Get "http:\/\/127\.0\.0\.1:\d+\/": .*ECONNREFUSED/)
  })

  describe('gRPC health', () => {
    async function health(answers: Record<string, number>, known = true): Promise<number> {
      const server = new GrpcServer()
      const identity = (bytes: Buffer): Buffer => bytes
      const path = known ? '/grpc.health.v1.Health/Check' : '/other.Service/Check'
      server.addService(
        {
          check: {
            path,
            requestStream: false,
            responseStream: false,
            requestSerialize: identity,
            requestDeserialize: identity,
            responseSerialize: identity,
            responseDeserialize: identity,
          },
        },
        {
          check: (call: { request: Buffer }, reply: (error: object | null, bytes?: Buffer) => void) => {
            const service = call.request.length === 0 ? '' : call.request.subarray(2).toString()
            const answer = answers[service]
            if (answer === undefined) reply({ code: status.NOT_FOUND, details: 'unknown service' })
            else if (answer >= 0) reply(null, answer === 0 ? Buffer.alloc(0) : Buffer.from([0x08, answer]))
          },
        },
      )
      const port = await new Promise<number>((resolve, reject) =>
        server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
          error === null ? resolve(bound) : reject(error),
        ),
      )
      closing.push(() => Promise.resolve(server.forceShutdown()))
      return port
    }

    it('asks about the server or one of its services', async () => {
      const port = await health({ '': 1, shop: 1, cart: 2, old: 0 })
      assert.deepEqual(await ask({ grpc: { port } }), { verdict: 'success', message: 'service healthy' })
      assert.equal((await ask({ grpc: { port, service: 'shop' } })).verdict, 'success')
      assert.deepEqual(await ask({ grpc: { port, service: 'cart' } }), {
        verdict: 'failure',
        message: 'service unhealthy (responded with "NOT_SERVING")',
      })
      assert.deepEqual(await ask({ grpc: { port, service: 'old' } }), {
        verdict: 'failure',
        message: 'service unhealthy (responded with "UNKNOWN")',
      })
      assert.match((await ask({ grpc: { port, service: 'none' } })).message, /unknown service \(NOT_FOUND\)/)
    })

    it('tells a server without the protocol, none at all, and one that does not answer', async () => {
      assert.match(
        (await ask({ grpc: { port: await health({}, false) } })).message,
        /does not implement the grpc health protocol/,
      )
      const gone = await serve(() => undefined)
      await closing.pop()!()
      const none = await ask({ grpc: { port: gone } })
      assert.equal(none.verdict, 'failure')
      assert.match(none.message, /^cannot connect: /)
      assert.match(
        (await ask({ grpc: { port: await serve((_request, response) => void response.end('plain')) } })).message,
        /^(health rpc failed|cannot connect): /,
      )
      const silent = await ask({ grpc: { port: await health({ '': -1 }) } }, late(100))
      assert.deepEqual(silent, { verdict: 'failure', message: 'health rpc did not complete: no answer within 1 s' })
    })

    it('writes and reads the messages', () => {
      assert.deepEqual([...encodeRequest('')], [0, 0, 0, 0, 0])
      assert.deepEqual([...encodeRequest('ab')], [0, 0, 0, 0, 4, 0x0a, 2, 97, 98])
      assert.deepEqual([...encodeRequest('x'.repeat(300)).subarray(0, 8)], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02])
      const answer = (...bytes: number[]): number => decodeResponse(Buffer.from([0, 0, 0, 0, bytes.length, ...bytes]))
      assert.deepEqual([answer(8, 1), answer(), answer(0x1a, 0)], [1, 0, 0])
    })
  })
})
