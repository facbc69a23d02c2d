import assert from 'node:assert/strict'
import type { RawData, WebSocket } from 'ws'
import { eventually } from '../../../eventually.ts'
import { Kubectl } from '../kubectl.ts'
import { statusIn, StreamsFixture } from './fixture.ts'
import { SpdyClient } from './spdy-client.ts'

const BASE = '/api/v1/namespaces/default/pods'
const SUCCESS = { metadata: {}, status: 'Success' }
const exitStatus = (code: number): object => ({
  metadata: {},
  status: 'Failure',
  reason: 'NonZeroExitCode',
  message: `command terminated with non-zero exit code: exit status ${code}`,
  details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
})

/** What a WebSocket said, by channel. */
class Channels {
  readonly socket: WebSocket
  readonly #text: string[] = []
  readonly #base64: boolean
  closed: number | undefined
  refused: number | undefined
  /** Channels of empty messages. */
  readonly greeted: number[] = []

  constructor(socket: WebSocket, base64 = false) {
    this.socket = socket
    this.#base64 = base64
    socket.on('message', (raw: RawData) => {
      const message = raw as Buffer
      const channel = base64 ? message[0]! - 0x30 : message[0]!
      const content = base64 ? Buffer.from(message.toString('latin1', 1), 'base64') : message.subarray(1)
      if (content.length === 0) this.greeted.push(channel)
      this.#text[channel] = this.text(channel) + content.toString()
    })
    socket.on('close', (code) => (this.closed = code))
    socket.on('unexpected-response', (_, response) => {
      this.refused = response.statusCode
      socket.terminate()
    })
    socket.on('error', () => socket.terminate())
  }

  text(channel: number): string {
    return this.#text[channel] ?? ''
  }

  get status(): unknown {
    return JSON.parse(this.text(3))
  }

  async opened(): Promise<this> {
    await eventually(() => this.socket.readyState === this.socket.OPEN || this.closed !== undefined)
    return this
  }

  send(channel: number, data: string | Uint8Array): void {
    const bytes = Buffer.from(data as string)
    this.socket.send(
      this.#base64 ? `${channel}${bytes.toString('base64')}` : Buffer.concat([Buffer.from([channel]), bytes]),
    )
  }

  async end(): Promise<this> {
    await eventually(() => this.closed !== undefined)
    return this
  }
}

describe('commands of the Kubernetes face', () => {
  let fixture: StreamsFixture

  before(async () => {
    fixture = await StreamsFixture.start()
    await fixture.pod('web')
    await fixture.pod('two', { containers: ['a', 'b'] })
    await fixture.pod('done', { state: { terminated: { exitCode: 0 } }, phase: 'Succeeded' })
    await fixture.pod('crashed', { state: { waiting: { reason: 'CrashLoopBackOff' } } })
    await fixture.pod('pending', { node: '', phase: 'Pending' })
  })

  after(() => fixture.stop())

  const exec = (query: string, protocols: string | string[] = 'v5.channel.k8s.io', pod = 'web'): Channels =>
    new Channels(fixture.webSocket(`${BASE}/${pod}/exec?${query}`, protocols), String(protocols).includes('base64'))
  const idle = (): Promise<unknown> => eventually(() => fixture.pods.running === 0)

  describe('over WebSocket', () => {
    it('tell outputs apart and the exit code as a Status, and close in order', async () => {
      const channels = await exec('command=both&command=7&container=main&stdout=true&stderr=true').end()
      assert.deepEqual(
        [channels.text(1), channels.text(2), channels.status, channels.closed, channels.greeted],
        ['out', 'err', exitStatus(7), 1000, [1]],
      )
      assert.deepEqual(fixture.pods.started.at(-1), {
        case: 'start',
        value: {
          namespace: 'default',
          pod: 'web',
          container: 'main',
          command: ['both', '7'],
          stdin: false,
          tty: false,
          size: undefined,
        },
      })
    })

    it('know success', async () =>
      assert.deepEqual((await exec('command=exit&command=0&stdout=1').end()).status, SUCCESS))

    it('say why a command cannot be started, or the node cannot carry it', async () => {
      for (const [command, reason, message] of [
        ['missing', 'InternalError', /no such program/],
        ['refused', 'BadRequest', /not running/],
        ['lost', 'ServiceUnavailable', /ended before/],
      ] as const) {
        const status = (await exec(`command=${command}&stdout=true`).end()).status as {
          status: string
          reason: string
          message: string
        }
        assert.deepEqual([status.status, status.reason], ['Failure', reason])
        assert.match(status.message, message)
      }
    })

    it('give the cause of a command that cannot be started, as clients read it', async () => {
      const { details } = (await exec('command=missing&stdout=true').end()).status as {
        details?: { causes?: { message: string }[] }
      }
      assert.match(details?.causes?.[0]?.message ?? '', /^error executing command in container: .*no such program/)
    })

    it('pass what is typed and its end: v5 closes a channel', async () => {
      const channels = await exec('command=cat&stdin=true&stdout=true').opened()
      channels.send(0, 'typed')
      await eventually(() => channels.text(1) === 'typed')
      channels.send(0, ' more')
      channels.socket.send(Buffer.from([255, 0]))
      await channels.end()
      assert.deepEqual([channels.text(1), channels.status], ['typed more', SUCCESS])
    })

    it('pass the size of a terminal, and no other size', async () => {
      const channels = await exec('command=cat&stdin=true&stdout=true&stderr=true&tty=true').opened()
      channels.send(4, '{"Width":0,"Height":0}')
      channels.send(4, '{"Width":120,"Height":40}')
      await eventually(() => channels.text(1) === '[120x40]')
      channels.send(4, '{"Width":-1}')
      await channels.end()
      assert.match((channels.status as { message: string }).message, /a terminal's size is/)
      await idle()
    })

    for (const protocol of [
      'v4.channel.k8s.io',
      'v4.base64.channel.k8s.io',
      'channel.k8s.io',
      'base64.channel.k8s.io',
    ]) {
      it(`speak ${protocol}`, async () => {
        const channels = await exec('command=cat&stdin=true&stdout=true&tty=true', protocol).opened()
        assert.equal(channels.socket.protocol, protocol)
        channels.send(0, 'größer')
        await eventually(() => channels.text(1) === 'größer')
        channels.socket.close()
        await idle()
        const failed = await exec('command=exit&command=3&stdout=true', protocol).end()
        if (protocol.startsWith('v4')) assert.deepEqual(failed.status, exitStatus(3))
        else assert.match(failed.text(3), /exit status 3/)
      })
    }

    it('choose the best of several protocols, and take a client that names none', async () => {
      assert.equal(
        (await exec('command=exit&stdout=true', ['v4.channel.k8s.io', 'v5.channel.k8s.io']).opened()).socket.protocol,
        'v5.channel.k8s.io',
      )
      assert.equal((await exec('command=both&stdout=true', []).end()).text(1), 'out')
    })

    it('end with the client, at once', async () => {
      const channels = await exec('command=forever&stdout=true').opened()
      await eventually(() => fixture.pods.running === 1)
      channels.socket.terminate()
      await idle()
      assert.ok(fixture.pods.calls.at(-1)!.signal.aborted)
    })

    it('wait for a client that does not read', async () => {
      const channels = await exec('command=flood&stdout=true').opened()
      channels.socket.pause()
      let before = -1
      await eventually(() => {
        const stands = fixture.pods.flooded > 0 && fixture.pods.flooded === before
        before = fixture.pods.flooded
        return stands
      })
      const [stood, { rss }] = [fixture.pods.flooded, process.memoryUsage()]
      assert.ok(stood < 2000, `${stood} pieces of 32 KiB are under way`)
      channels.socket.resume()
      await eventually(() => fixture.pods.flooded > stood + 100)
      assert.ok(process.memoryUsage().rss - rss < 300e6)
      channels.socket.terminate()
      await idle()
    })

    it('make a client wait for a command that does not read', async () => {
      const channels = await exec('command=sip&stdin=true').opened()
      const piece = Buffer.alloc(64 * 1024)
      for (let sent = 0; sent < 400; sent++) channels.send(0, piece)
      channels.socket.send(Buffer.from([255, 0]))
      await eventually(() => fixture.pods.running === 1)
      assert.ok(channels.socket.bufferedAmount > 0, 'what is not taken waits at the client')
      // Each sip takes one piece.
      const done = channels.end()
      await eventually(() => {
        fixture.pods.sip()
        return channels.closed !== undefined
      })
      await done
      assert.equal(fixture.pods.sipped, 400 * piece.length)
    })

    it('keep nobody who is passed on by another controller from the node: the caller was let in here', async () => {
      await exec('command=exit&stdout=true').end()
      assert.deepEqual(fixture.pods.calls.at(-1)!.user, {
        name: 'anna',
        groups: ['system:masters', 'system:authenticated'],
      })
    })

    it('refuse protocols that nobody knows', async () => {
      const channels = exec('command=exit&stdout=true', 'v9.channel.k8s.io')
      await eventually(() => channels.refused !== undefined)
      assert.equal(channels.refused, 400)
    })

    it('ping', async () => {
      const channels = await exec('command=forever&stdout=true').opened()
      let pings = 0
      channels.socket.on('ping', () => pings++)
      await eventually(() => fixture.pods.running === 1)
      await fixture.face.clock.advance(30_000)
      await eventually(() => pings === 1)
      channels.socket.terminate()
      await idle()
    })
  })

  describe('over SPDY', () => {
    const upgraded = async (
      path: string,
      protocols: string | string[] = ['v4.channel.k8s.io', 'v3.channel.k8s.io'],
    ): Promise<SpdyClient & { protocol: unknown }> => {
      const { message, socket, head } = await fixture.upgrade(`${BASE}/${path}`, {
        Upgrade: 'SPDY/3.1',
        'X-Stream-Protocol-Version': protocols,
      })
      assert.equal(message.statusCode, 101, message.statusMessage)
      return Object.assign(new SpdyClient(socket!, head), { protocol: message.headers['x-stream-protocol-version'] })
    }

    it('tell outputs apart and the exit code as a Status, and end every stream', async () => {
      const client = await upgraded('web/exec?command=both&command=7&stdout=true&stderr=true')
      const [error, out, err] = [
        await client.open({ streamtype: 'error' }),
        await client.open({ streamtype: 'stdout' }),
        await client.open({ streamtype: 'stderr' }),
      ] as const
      await eventually(() => client.closed)
      assert.deepEqual(
        [client.text(out), client.text(err), JSON.parse(client.text(error))],
        ['out', 'err', exitStatus(7)],
      )
      assert.ok(client.goneAway && [error, out, err].every((id) => client.ended(id)))
      assert.equal(client.protocol, 'v4.channel.k8s.io')
    })

    it("pass what is typed, its end and the terminal's size", async () => {
      const client = await upgraded('web/attach?stdin=true&stdout=true&stderr=true&tty=true')
      const [error, input, out, resize] = [
        await client.open({ streamtype: 'error' }),
        await client.open({ streamtype: 'stdin' }),
        await client.open({ streamtype: 'stdout' }),
        await client.open({ streamtype: 'resize' }),
      ] as const
      client.send(resize, '{"Width":80,"He')
      client.send(resize, 'ight":24}\n{"Width":0,"Height":0}{"Width":81,"Height":25}\n')
      await eventually(() => client.text(out) === '[80x24][81x25]')
      client.send(input, 'typed', true)
      await eventually(() => client.closed)
      assert.equal(client.text(out), '[80x24][81x25]typed')
      assert.deepEqual(JSON.parse(client.text(error)), SUCCESS, 'being attached ends well, however the container ended')
    })

    it('tell older clients in words', async () => {
      const client = await upgraded('web/exec?command=exit&command=4&stdout=true', 'v2.channel.k8s.io, channel.k8s.io')
      const error = await client.open({ streamtype: 'error' })
      await client.open({ streamtype: 'stdout' })
      await eventually(() => client.closed)
      assert.deepEqual(
        [client.protocol, client.text(error)],
        ['v2.channel.k8s.io', 'command terminated with non-zero exit code: exit status 4'],
      )
    })

    it('refuse streams that were not asked for, and answer pings', async () => {
      const client = await upgraded('web/exec?command=forever&stdout=true')
      assert.equal(client.wasReset(await client.open({ streamtype: 'stdin' })), 3)
      await client.open({ streamtype: 'error' })
      assert.equal(client.wasReset(await client.open({ streamtype: 'error' })), 3)
      await client.open({ streamtype: 'stdout' })
      client.ping(5)
      await eventually(() => client.pings.includes(5))
      await fixture.face.clock.advance(30_000)
      await eventually(() => client.pings.includes(2))
      client.raw(Buffer.from('8002000100000000', 'hex'))
      await eventually(() => client.closed)
      await idle()
    })

    it('do not wait for ever for streams that are not opened', async () => {
      const client = await upgraded('web/exec?command=exit&stdout=true')
      await client.open({ streamtype: 'error' })
      const started = fixture.pods.started.length
      await fixture.face.clock.advance(30_000)
      await eventually(() => client.closed)
      assert.equal(fixture.pods.started.length, started)
    })

    it('carry much in both directions', async () => {
      const client = await upgraded('web/exec?command=cat&stdin=true&stdout=true')
      const [, input, out] = [
        await client.open({ streamtype: 'error' }),
        await client.open({ streamtype: 'stdin' }),
        await client.open({ streamtype: 'stdout' }),
      ] as const
      const text = Array.from({ length: 200_000 }, (_, at) => `${at}\n`).join('')
      client.send(input, text, true)
      await eventually(() => client.closed)
      assert.ok(client.text(out) === text)
    })

    it('refuse a client that knows none of their protocols', async () => {
      const { message } = await fixture.upgrade(`${BASE}/web/exec?command=exit&stdout=true`, {
        Upgrade: 'SPDY/3.1',
        'X-Stream-Protocol-Version': 'v9',
      })
      assert.deepEqual([message.statusCode, (await statusIn(message)).reason], [403, 'Forbidden'])
    })
  })

  describe('are refused by HTTP before anything else', () => {
    for (const [path, code, reason, words] of [
      ['none/exec?command=ls&stdout=true', 404, 'NotFound', /pods "none" not found/],
      [
        'two/exec?command=ls&stdout=true',
        400,
        'BadRequest',
        /a container name must be specified for pod two, choose one of: \[a b\]/,
      ],
      ['two/exec?command=ls&stdout=true&container=c', 400, 'BadRequest', /container c is not valid for pod two/],
      [
        'crashed/exec?command=ls&stdout=true',
        400,
        'BadRequest',
        /container main in pod crashed is not running: it is waiting to start: CrashLoopBackOff/,
      ],
      ['done/attach?stdout=true', 400, 'BadRequest', /pod done has ended \(Succeeded\)/],
      ['pending/exec?command=ls&stdout=true', 400, 'BadRequest', /does not have a host assigned/],
      ['web/exec?stdout=true', 400, 'BadRequest', /at least 1 command/],
      ['web/exec?command=ls&stdout=false', 400, 'BadRequest', /at least 1 of stdin, stdout, stderr/],
    ] as const) {
      it(path, async () => {
        for (const upgrade of [
          { Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': 'v4.channel.k8s.io' },
          {
            Upgrade: 'websocket',
            'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
            'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Protocol': 'v5.channel.k8s.io',
          },
        ]) {
          const { message } = await fixture.upgrade(path.startsWith('/') ? path : `${BASE}/${path}`, upgrade, 'GET')
          const status = await statusIn(message)
          assert.deepEqual([message.statusCode, status.code, status.reason], [code, code, reason])
          assert.match(status.message, words)
        }
      })
    }

    it('without an upgrade, to another protocol, and by a malformed handshake', async () => {
      assert.match(
        (await fixture.face.get(`${BASE}/web/exec?command=ls&stdout=true`)).json.message as string,
        /Upgrade request required/,
      )
      for (const headers of [
        { Upgrade: 'h2c' },
        { Upgrade: 'websocket', 'Sec-WebSocket-Protocol': 'v5.channel.k8s.io' },
      ]) {
        const { message } = await fixture.upgrade(`${BASE}/web/exec?command=ls&stdout=true`, headers, 'GET')
        assert.deepEqual([message.statusCode, (await statusIn(message)).reason], [400, 'BadRequest'])
      }
    })
  })

  describe('of kubectl', () => {
    let kubectl: Kubectl

    before(async () => {
      kubectl = await Kubectl.of(fixture.face)
    })

    after(() => kubectl.stop())

    for (const webSockets of ['true', 'false']) {
      it(webSockets === 'true' ? 'by WebSocket' : 'by SPDY', async () => {
        const run = (args: string[], input = ''): ReturnType<Kubectl['run']> =>
          kubectl.run(args, input, { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: webSockets })
        const both = await run(['exec', 'web', '--', 'both', '7'])
        assert.deepEqual([both.code, both.stdout, both.stderr], [7, 'out', 'errcommand terminated with exit code 7\n'])
        const text = Array.from({ length: 100_000 }, (_, at) => `${at}\n`).join('')
        const cat = await run(['exec', '-i', 'web', '--', 'cat'], text)
        assert.deepEqual([cat.code, cat.stdout === text], [0, true])
        assert.equal((await run(['exec', 'web', '--', 'yes', '300'])).stdout.length, 300 * 32 * 1024)
        assert.match(
          (await run(['exec', '-v=6', 'web', '--', 'exit'])).stderr,
          webSockets === 'true' ? /GET \S+\/exec\?\S+ 101/ : /POST \S+\/exec\?\S+ 101/,
        )
        assert.match((await run(['exec', 'none', '--', 'ls'])).stderr, /pods "none" not found/)
      })
    }
  })
})
