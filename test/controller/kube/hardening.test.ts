import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { MASTERS } from '../../../controller/authorization/groups.ts'
import { TIMEOUTS } from '../../../controller/kube/server.ts'
import { eventually, until } from '../../eventually.ts'
import { TestApiServer } from './test-api-server.ts'

const CONFIGS = '/api/v1/namespaces/default/configmaps'
/** Milliseconds: short, so that nobody waits; long for the rest of what is not tested. */
const SHORT = 1_000
const context = { fieldManager: 'test' }

describe('Kubernetes face: clients that misbehave', () => {
  let face: TestApiServer
  let sockets: Socket[] = []
  const hanging = new Promise<never>(() => undefined)
  let anna: Awaited<ReturnType<TestApiServer['client']>>

  before(async () => {
    face = await TestApiServer.start({
      parts: {
        timeouts: { ...TIMEOUTS, handshake: SHORT, headers: SHORT, request: SHORT, stall: SHORT, checkInterval: 50 },
        events: { list: () => hanging, follow: () => assert.fail('nobody follows') },
      },
    })
    // Made now: the server's deadline for a handshake runs from when a connection is there.
    anna = await face.client('anna', [MASTERS])
    await face.api.create<'ConfigMap'>({ kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default' } }, context)
    await face.reads.current()
  })
  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    sockets = []
    // Whatever one did, others are served, and nothing of it stays.
    assert.equal((await face.get(`${CONFIGS}/a`)).status, 200)
    await until('no request is under way any more', async () => {
      const metrics = (await face.get('/metrics')).body.toString()
      return [
        ...metrics.matchAll(/^apiserver_(?:longrunning_requests|current_inflight_requests)\{(.*)\} (\d+)$/gm),
      ].every(([, labels, count]) => count === (labels!.includes('readOnly') ? '1' : '0'))
    })
  })
  after(() => face.stop())

  function tcp(): Socket {
    const [host, port] = face.address.split(':')
    const socket = connectTcp(Number(port), host).on('error', () => undefined)
    sockets.push(socket)
    return socket
  }

  /** A TLS connection of a user who may do everything, with nothing sent on it. */
  async function connection(below = tcp()): Promise<TLSSocket> {
    const socket = connectTls({ socket: below, ...anna })
    sockets.push(socket)
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
    return socket.on('error', () => undefined)
  }

  /** All that comes until the server ends the connection. */
  async function rest(socket: Socket): Promise<string> {
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    await new Promise<void>((resolve) => socket.once('close', resolve).resume())
    return Buffer.concat(chunks).toString()
  }

  async function raw(text: string | Buffer): Promise<string> {
    const socket = await connection()
    socket.write(text)
    return rest(socket)
  }

  /** Status, and the reason of the Status in the body. */
  function told(answer: string): string {
    const [, code] = /^HTTP\/1\.1 (\d+) /.exec(answer) ?? []
    const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as {
      kind: string
      code: number
      reason: string
    }
    assert.deepEqual([body.kind, String(body.code)], ['Status', code])
    return `${code} ${body.reason}`
  }

  it('waits no longer for a body than for a request', async () => {
    assert.equal(
      told(
        await raw(
          `POST ${CONFIGS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"kind"`,
        ),
      ),
      '408 Timeout',
    )
  })

  it('waits no longer for the headers of a request', async () => {
    assert.equal(told(await raw('GET / HTTP/1.1\r\nHost: x\r\nAcc')), '408 Timeout')
  })

  it('ends a connection on which nothing comes, with and without TLS', async () => {
    assert.equal(await rest(tcp()), '')
    await rest(await connection())
  })

  it('ends a connection that does not speak TLS', async () => {
    const socket = tcp()
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.ok(!(await rest(socket)).includes('HTTP/1.1 200'))
  })

  it('refuses a body that is too large before it is there, and as soon as it is', async () => {
    const head = `POST ${CONFIGS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`
    assert.equal(told(await raw(`${head}Content-Length: 4000000\r\n\r\n`)), '413 RequestEntityTooLarge')
    const socket = await connection()
    const answer = rest(socket)
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`)
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(0x10000, 'x'), Buffer.from('\r\n')])
    for (let sent = 0; sent < 60 && socket.writable; sent++) socket.write(chunk)
    assert.equal(told(await answer), '413 RequestEntityTooLarge')
  })

  it('says that it goes on to who asks before sending', async () => {
    const body = JSON.stringify({ metadata: { name: 'expected' } })
    const socket = await connection()
    let answer = ''
    socket.on('data', (chunk: Buffer) => void (answer += chunk.toString()))
    socket.write(
      `POST ${CONFIGS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
    )
    await eventually(() => answer.startsWith('HTTP/1.1 100 Continue'))
    socket.write(body)
    await eventually(() => answer.includes('HTTP/1.1 201 Created'))
  })

  it('refuses what is no request of the API, with a Status', async () => {
    for (const [line, outcome] of [
      [`BREW ${CONFIGS} HTTP/1.1`, '400 BadRequest'],
      [`PROPFIND ${CONFIGS} HTTP/1.1`, '405 MethodNotAllowed'],
      ['GET api/v1 HTTP/1.1', '400 BadRequest'],
      ['hello', '400 BadRequest'],
      [`GET ${CONFIGS}/%zz HTTP/1.1`, '400 BadRequest'],
      [`GET ${CONFIGS}/%00 HTTP/1.1`, '404 NotFound'],
      ['GET //api//v1 HTTP/1.1', '404 NotFound'],
      ['GET /../../etc/passwd HTTP/1.1', '404 NotFound'],
      [`GET ${CONFIGS}?limit=%zz HTTP/1.1`, '400 BadRequest'],
      [`GET ${CONFIGS}?timeout=soon HTTP/1.1`, '400 BadRequest'],
      ['GET /apis/nothing/v1/things HTTP/1.1', '404 NotFound'],
      [`GET /${'x'.repeat(20_000)} HTTP/1.1`, '404 NotFound'],
    ] as const)
      assert.equal(told(await raw(`${line}\r\nHost: x\r\nConnection: close\r\n\r\n`)), outcome, line.slice(0, 60))
  })

  it('refuses a flood of headers', async () => {
    const many = Array.from({ length: 6_000 }, (_, index) => `X-${index}: ${'y'.repeat(20)}\r\n`).join('')
    assert.equal(told(await raw(`GET / HTTP/1.1\r\nHost: x\r\n${many}\r\n`)), '431 RequestHeaderFieldsTooLarge')
    assert.equal(
      told(await raw(`GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`)),
      '431 RequestHeaderFieldsTooLarge',
    )
  })

  it('answers requests that come at once in their order', async () => {
    const names = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? 'a' : `missing-${index}`))
    const answers = await raw(
      names
        .map(
          (name, index) =>
            `GET ${CONFIGS}/${name} HTTP/1.1\r\nHost: x\r\n${index === names.length - 1 ? 'Connection: close\r\n' : ''}\r\n`,
        )
        .join(''),
    )
    const bodies = answers
      .split(/HTTP\/1\.1 \d+ [^\r]*\r\n/)
      .slice(1)
      .map(
        (part) =>
          JSON.parse(part.slice(part.indexOf('\r\n\r\n') + 4)) as {
            metadata: { name?: string }
            details?: { name: string }
          },
      )
    assert.deepEqual(
      bodies.map(({ metadata, details }) => details?.name ?? metadata.name),
      names,
    )
  })

  it('bears clients that go away in the midst of a list', async () => {
    const data = { text: 'x'.repeat(400_000) }
    for (let index = 0; index < 10; index++)
      await face.api.create<'ConfigMap'>(
        {
          kind: 'ConfigMap',
          metadata: { name: `large-${index}`, namespace: 'default', labels: { size: 'large' } },
          data,
        },
        context,
      )
    for (let gone = 0; gone < 5;) {
      const below = tcp()
      const socket = await connection(below)
      socket.write(`GET ${CONFIGS} HTTP/1.1\r\nHost: x\r\n\r\n`)
      const began = await new Promise<boolean>((resolve) =>
        socket.once('data', () => resolve(true)).once('close', () => resolve(false)),
      )
      // On a busy machine the server's deadline for a request may be over before it was read; then there is no list to
      // go away from.
      if (!began) continue
      if (gone++ % 2 === 0) socket.destroy()
      else below.resetAndDestroy()
    }
  })

  it('cuts off who does not read a list', async () => {
    const below = tcp()
    const socket = await connection(below)
    socket.pause()
    // More than all buffers on the way hold: the same list again and again.
    const count = 10
    socket.write(`GET ${CONFIGS}?labelSelector=size%3Dlarge HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(count))
    // The server's side of the connection is gone from the system's table.
    await until('the connection is cut', async () => !established(below.localPort!))
    const received = await rest(socket)
    assert.ok(received.split('"kind":"ConfigMapList"').length - 1 < count)
  })

  it('cuts off who does not read a watch, and nobody else', async () => {
    const [slow, quick] = [
      await face.open('GET', `${CONFIGS}?watch=1&fieldSelector=metadata.name%3Dbusy`),
      await face.watch(`${CONFIGS}?watch=1&fieldSelector=metadata.name%3Dbusy`),
    ]
    const over = new Promise<void>((resolve) => slow.once('close', () => resolve()))
    slow.pause()
    await face.api.create<'ConfigMap'>({ kind: 'ConfigMap', metadata: { name: 'busy', namespace: 'default' } }, context)
    assert.deepEqual(await quick.take(1), ['ADDED busy'])
    const watching = async (): Promise<string | undefined> =>
      /^apiserver_longrunning_requests\{verb="WATCH".*resource="configmaps".*\} (\d+)$/m.exec(
        (await face.get('/metrics')).body.toString(),
      )?.[1]
    assert.equal(await watching(), '2')
    // More than the buffers on the way hold, as fast as the quick one reads it.
    for (let change = 0; change < 40; change++) {
      await face.api.mutate(
        'ConfigMap',
        'default',
        'busy',
        '',
        (config) => void (config.data = { text: String(change).repeat(200_000) }),
        context,
      )
      assert.deepEqual(await quick.take(1), ['MODIFIED busy'])
    }
    await until('the slow one is cut off', async () => (await watching()) === '1')
    slow.resume()
    await over
    quick.close()
  })

  it('gives an answer until a deadline, which a client may bring forward', async () => {
    for (const [query, wait] of [
      ['', SHORT],
      ['?timeout=1ms', 1],
    ] as const) {
      const answer = face.get(`/api/v1/events${query}`)
      await eventually(async () => {
        await face.clock.advance(wait)
        return Promise.race([answer.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))])
      })
      const { status, json } = await answer
      assert.deepEqual([status, json.reason], [504, 'Timeout'])
    }
  })
})

/** Whether a connection of this host to that port is established: its state is 01 in proc_net_tcp(5). */
function established(port: number): boolean {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .some((line) => {
      const [, , to, state] = line.trim().split(/\s+/)
      return to?.endsWith(remote) === true && state === '01'
    })
}
