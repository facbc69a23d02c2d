import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createServer, connect, type Server, type Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import { eventually } from '../../../eventually.ts'
import { Kubectl } from '../kubectl.ts'
import { statusIn, StreamsFixture } from './fixture.ts'
import { FramedDuplex } from './framed-duplex.ts'
import { SpdyClient } from './spdy-client.ts'

const BASE = '/api/v1/namespaces/default/pods'
const WEB = `${BASE}/web/portforward`

describe('port forwarding of the Kubernetes face', () => {
  let fixture: StreamsFixture
  let uid: string
  const sockets = new Set<Socket>()
  const servers: Server[] = []

  /** A program in the pod: its port. */
  async function listen(serve: (socket: Socket) => void): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.once('close', () => sockets.delete(socket))
      serve(socket)
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as { port: number }).port
  }

  let echo: number
  let closed: number

  before(async () => {
    fixture = await StreamsFixture.start()
    uid = await fixture.pod('web')
    await fixture.pod('done', { state: { terminated: { exitCode: 0 } }, phase: 'Succeeded' })
    echo = await listen((socket) => socket.pipe(socket))
    closed = await listen(() => undefined)
    await new Promise((resolve) => servers.pop()!.close(resolve))
  })

  after(async () => {
    for (const socket of sockets) socket.destroy()
    for (const server of servers) server.close()
    await fixture.stop()
  })

  const idle = (): Promise<unknown> => eventually(() => fixture.pods.running === 0)

  for (const [name, dial] of [
    [
      'SPDY',
      async (): Promise<SpdyClient> => {
        const { message, socket, head } = await fixture.upgrade(WEB, {
          Upgrade: 'SPDY/3.1',
          'X-Stream-Protocol-Version': 'portforward.k8s.io',
        })
        assert.deepEqual(
          [message.statusCode, message.headers['x-stream-protocol-version']],
          [101, 'portforward.k8s.io'],
        )
        return new SpdyClient(socket!, head)
      },
    ],
    [
      'SPDY within WebSocket',
      async (): Promise<SpdyClient> => {
        const { message, socket, head } = await fixture.upgrade(
          WEB,
          {
            Upgrade: 'websocket',
            'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
            'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Protocol': 'v4.channel.k8s.io, SPDY/3.1+portforward.k8s.io',
          },
          'GET',
        )
        assert.deepEqual(
          [message.statusCode, message.headers['sec-websocket-protocol']],
          [101, 'SPDY/3.1+portforward.k8s.io'],
        )
        return new SpdyClient(new FramedDuplex(socket!, head!))
      },
    ],
  ] as const) {
    describe(`over ${name}`, () => {
      let client: SpdyClient
      let count = 0

      beforeEach(async () => {
        client = await dial()
      })

      afterEach(async () => {
        client.close()
        await idle()
      })

      async function pair(port: number): Promise<{ data: number; error: number }> {
        const requestid = String(count++)
        return {
          error: await client.open({ streamtype: 'error', port: String(port), requestid }),
          data: await client.open({ streamtype: 'data', port: String(port), requestid }),
        }
      }

      it('joins many connections, each with its own ends', async () => {
        const pairs = await Promise.all(Array.from({ length: 20 }, () => pair(echo)))
        for (const [at, { data }] of pairs.entries()) client.send(data, `hello ${at}`)
        await eventually(() => pairs.every(({ data }, at) => client.text(data) === `hello ${at}`))
        assert.ok(fixture.pods.forwarded.slice(-20).every((start) => start.uid === uid && start.port === echo))
        for (const { data } of pairs) client.send(data, '', true)
        await eventually(() =>
          pairs.every(({ data, error }) => client.ended(data) && client.ended(error) && client.text(error) === ''),
        )
        await idle()
      })

      it('carries much in both directions', async () => {
        const { data } = await pair(echo)
        const text = Array.from({ length: 400_000 }, (_, at) => `${at}\n`).join('')
        client.send(data, text, true)
        await eventually(() => client.ended(data))
        assert.ok(client.text(data) === text)
      })

      it('tells what fails of one connection, and goes on with the others', async () => {
        const [bad, good] = [await pair(closed), await pair(echo)]
        await eventually(() => client.ended(bad.error))
        assert.match(
          client.text(bad.error),
          new RegExp(`^error forwarding port ${closed} to pod web, uid ${uid}: connection refused: nothing listens`),
        )
        client.send(good.data, 'still there')
        await eventually(() => client.text(good.data) === 'still there')
      })

      it('ends a connection that the client resets, and all of them with the client', async () => {
        const [one] = [await pair(echo), await pair(echo)]
        await eventually(() => sockets.size === 2)
        client.reset(one.data)
        await eventually(() => sockets.size === 1 && fixture.pods.running === 1)
        client.close()
        await eventually(() => sockets.size === 0)
      })

      it('refuses streams that name no connection', async () => {
        for (const headers of [
          { streamtype: 'data', port: '80' },
          { streamtype: 'data', port: '0', requestid: '1' },
          { streamtype: 'data', port: 'http', requestid: '1' },
          { streamtype: 'other', port: '80', requestid: '1' },
        ]) {
          assert.equal(client.wasReset(await client.open(headers as never)), 3)
        }
      })

      it('does not wait for ever for the second stream of a connection', async () => {
        const id = await client.open({ streamtype: 'error', port: String(echo), requestid: 'alone' })
        await fixture.face.clock.advance(30_000)
        await eventually(() => client.wasReset(id) === 5)
      })
    })
  }

  describe('over WebSocket channels', () => {
    class Channels {
      readonly socket: WebSocket
      readonly received: Buffer[][] = []
      closed = false

      constructor(socket: WebSocket) {
        this.socket = socket
        socket.on('message', (raw: RawData) => {
          const message = raw as Buffer
          const channel = (this.received[message[0]!] ??= [])
          channel.push(message.subarray(1))
        })
        socket.on('close', () => (this.closed = true))
        socket.on('error', () => socket.terminate())
      }

      /** What came after the port's number. */
      text(channel: number): string {
        return Buffer.concat((this.received[channel] ?? []).slice(1)).toString()
      }
    }

    it('joins one connection a port, and closes when all are over', async () => {
      const once = await listen((socket) =>
        socket.once('data', (chunk: Buffer) => socket.end(`got ${chunk.toString()}`)),
      )
      const channels = new Channels(
        fixture.webSocket(`${WEB}?ports=${once}&ports=${closed}`, ['v5.channel.k8s.io', 'v4.channel.k8s.io']),
      )
      await eventually(() => channels.received.length === 4)
      const number = (port: number): Buffer => Buffer.from([port & 0xff, port >> 8])
      assert.deepEqual(
        channels.received.map(([first]) => first),
        [number(once), number(once), number(closed), number(closed)],
      )
      await eventually(() => /connection refused/.test(channels.text(3)))
      channels.socket.send(Buffer.concat([Buffer.from([0]), Buffer.from('it')]))
      await eventually(() => channels.text(0) === 'got it')
      channels.socket.close()
      await eventually(() => channels.closed)
      await idle()
    })

    it('refuses ports that are none', async () => {
      for (const ports of [
        '',
        'ports=0',
        'ports=80,x',
        'ports=65536',
        Array.from({ length: 101 }, () => 'ports=80').join('&'),
      ]) {
        const { message } = await fixture.upgrade(
          `${WEB}?${ports}`,
          {
            Upgrade: 'websocket',
            'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
            'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Protocol': 'v4.channel.k8s.io',
          },
          'GET',
        )
        assert.deepEqual([message.statusCode, (await statusIn(message)).reason], [400, 'BadRequest'], ports)
      }
    })
  })

  it('is refused by HTTP for a pod that does not run', async () => {
    for (const [pod, code] of [
      ['none', 404],
      ['done', 400],
    ] as const) {
      const { message } = await fixture.upgrade(`${BASE}/${pod}/portforward`, {
        Upgrade: 'SPDY/3.1',
        'X-Stream-Protocol-Version': 'portforward.k8s.io',
      })
      assert.equal((await statusIn(message)).code, code)
    }
  })

  describe('of kubectl', () => {
    let kubectl: Kubectl

    before(async () => {
      kubectl = await Kubectl.of(fixture.face)
    })

    after(() => kubectl.stop())

    for (const webSockets of ['true', 'false']) {
      it(webSockets === 'true' ? 'by WebSocket' : 'by SPDY', async () => {
        const child = spawn('kubectl', ['port-forward', '-v=6', 'pod/web', `:${echo}`, '--address', '127.0.0.1'], {
          env: { ...kubectl.environment, KUBECTL_PORT_FORWARD_WEBSOCKETS: webSockets },
          stdio: ['ignore', 'pipe', 'pipe'],
        })
        const ended = new Promise((resolve) => child.once('exit', resolve))
        try {
          let said = ''
          child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
          child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
          const port = await eventually(() => {
            const found = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(said)
            if (found === null) throw new Error(said)
            return Number(found[1])
          })
          const texts = await Promise.all(
            Array.from({ length: 8 }, async (_, at) => {
              const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
              socket.end(`${at} `.repeat(100_000))
              let text = ''
              for await (const chunk of socket) text += (chunk as Buffer).toString()
              return text
            }),
          )
          assert.deepEqual(
            /(GET|POST) \S+\/portforward\S* 101/.exec(said)?.[1],
            webSockets === 'true' ? 'GET' : 'POST',
            said,
          )
          assert.deepEqual(
            texts.map((text, at) => text === `${at} `.repeat(100_000)),
            Array.from({ length: 8 }, () => true),
            said,
          )
        } finally {
          child.kill()
          await ended
        }
        await idle()
      })
    }
  })
})
