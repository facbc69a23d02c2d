import assert from 'node:assert/strict'
import { FakeClock, systemClock } from '../../../../proto/base/clock.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { Connection, RpcServer } from '../../../../proto/rpc/contract.ts'
import { MemoryNetwork, type MemoryHost } from '../../../../proto/rpc/memory/network.ts'
import { transportSuite } from '../../../contract/transport.ts'

describe('memory network', () => {
  describe('as any transport', () =>
    transportSuite(() => {
      const network = new MemoryNetwork({ clock: systemClock })
      const [server, client] = [network.host('server'), network.host('client')]
      return {
        server: (authorize) => server.server(authorize === undefined ? {} : { authorize }),
        connect: (address) => client.connect(address),
        nowhere: 'server:1',
      }
    }))

  describe('as any transport, where everything takes a while', () =>
    transportSuite(() => {
      let count = 0
      const transit = (): number => (count++ * 7) % 3
      const network = new MemoryNetwork({ clock: systemClock, transit })
      const [server, client] = [network.host('server'), network.host('client')]
      return {
        server: (authorize) => server.server(authorize === undefined ? {} : { authorize }),
        connect: (address) => client.connect(address),
        nowhere: 'server:1',
      }
    }))

  describe('with faults', () => {
    let clock: FakeClock
    let network: MemoryNetwork
    let cut: Set<string>
    let frames: string[]
    let server: RpcServer
    let serving: MemoryHost
    let asking: MemoryHost
    let seen: string[]

    /** Serves logs that go on until the caller is gone. */
    const serve = async (host: MemoryHost): Promise<void> => {
      server = host.server({ port: 7443 })
      const none = (): never => assert.fail('not asked for')
      server.add('Pods', {
        async *logs(_, { signal, peer }) {
          seen.push(peer)
          signal.addEventListener('abort', () => seen.push((signal.reason as GantryError).message))
          yield { data: Buffer.from('one') }
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
        },
        exec: none,
        attach: none,
        portForward: none,
        copy: none,
      })
      await server.start()
    }

    /** Settled when the call is; what it has come to by then. */
    const call = (connection: Connection): { readonly got: string[] } => {
      const got: string[] = []
      void (async () => {
        for await (const { data } of connection.client('Pods').logs({})) got.push(Buffer.from(data).toString())
      })().catch((thrown: unknown) => void got.push(GantryError.from(thrown).code))
      return { got }
    }

    beforeEach(async () => {
      clock = new FakeClock()
      cut = new Set()
      frames = []
      seen = []
      network = new MemoryNetwork({
        clock,
        transit: (from, to) => {
          frames.push(`${clock.monotonic()} ${from}`)
          return cut.has(from) || cut.has(to) ? 'lost' : 5
        },
      })
      serving = network.host('10.0.0.1')
      asking = network.host('fd00::2')
      await serve(serving)
    })

    it('carries everything as late as it says, and tells where a call comes from', async () => {
      const { got } = call(asking.connect('10.0.0.1:7443'))
      await clock.advance(19) // there and back for the connection, and for the call
      assert.deepEqual(got, [])
      await clock.advance(1)
      assert.deepEqual(got, ['one'])
      assert.match(seen[0]!, /^\[fd00::2\]:\d+$/)
    })

    it('delays what is lost, and all behind it', async () => {
      cut.add('fd00::2')
      const { got } = call(asking.connect('10.0.0.1:7443'))
      await clock.advance(1_000)
      assert.deepEqual(got, [])
      cut.clear()
      await clock.advance(1_000)
      assert.deepEqual(got, ['one'])
    })

    it('finds out on both ends that they are parted, each by its own patience', async () => {
      const connection = asking.connect('10.0.0.1:7443', { liveness: { time: 1_000, timeout: 1_000 } })
      const { got } = call(connection)
      await clock.advance(500)
      cut.add('10.0.0.1')
      let lost: number | undefined
      connection.onLost(() => (lost = clock.monotonic()))
      await clock.advance(1_400)
      assert.deepEqual(got, ['one'])
      await clock.advance(200)
      assert.deepEqual(got, ['one', 'Unavailable'])
      assert.equal(lost, 2_020)
      assert.equal(seen.length, 1, 'the server does not know yet')
      await clock.advance(15_000)
      assert.deepEqual(seen.slice(1), ['the caller went away'])
      cut.clear()
      const again = call(connection)
      await clock.advance(100)
      assert.deepEqual(again.got, ['one'])
    })

    it('keeps a connection that is silent for long, as long as the other end answers', async () => {
      const { got } = call(asking.connect('10.0.0.1:7443', { liveness: { time: 1_000, timeout: 1_000 } }))
      await clock.advance(3_600_000)
      assert.deepEqual(got, ['one'])
    })

    it('tells the other end of a program that is killed, and lets it begin again at its address', async () => {
      const connection = asking.connect('10.0.0.1:7443')
      const { got } = call(connection)
      await clock.advance(100)
      serving.kill()
      await clock.advance(5)
      assert.deepEqual(got, ['one', 'Unavailable'])
      assert.deepEqual(seen.slice(1), ['the caller went away'])
      const refused = connection.ready(1_000).catch((thrown: unknown) => GantryError.from(thrown).message)
      await clock.advance(10)
      assert.equal(await refused, '10.0.0.1:7443 cannot be connected to')
      const old = server
      await serve(network.host('10.0.0.1'))
      await old.stop()
      await assert.rejects(old.start(), { code: 'Unavailable' })
      const again = call(connection)
      await clock.advance(100)
      assert.deepEqual(again.got, ['one'])
      asking.kill()
      await clock.advance(5)
      assert.equal(again.got.at(-1), 'Unavailable')
      await assert.rejects(connection.ready(1_000), { code: 'Unavailable' })
    })

    it('tells nobody of a machine that loses power', async () => {
      const connection = asking.connect('10.0.0.1:7443', { liveness: { time: 1_000, timeout: 1_000 } })
      const { got } = call(connection)
      await clock.advance(100)
      serving.powerOff()
      await clock.advance(1_000)
      assert.deepEqual(got, ['one'])
      await clock.advance(1_100)
      assert.deepEqual(got, ['one', 'Unavailable'])
      const silent = connection.ready(1_000).catch((thrown: unknown) => GantryError.from(thrown).message)
      await clock.advance(1_000)
      assert.equal(await silent, '10.0.0.1:7443 does not answer within 1000 ms')
    })

    it('breaks connections for both ends at once', async () => {
      const { got } = call(asking.connect('10.0.0.1:7443'))
      await clock.advance(100)
      network.reset((client, to) => client === 'fd00::2' && to === '10.0.0.1')
      await clock.advance(0)
      assert.deepEqual(got, ['one', 'Unavailable'])
      assert.deepEqual(seen.slice(1), ['the caller went away'])
    })

    it('does the same again when all is the same again', async () => {
      const run = async (): Promise<string[]> => {
        frames = []
        const connection = asking.connect('10.0.0.1:7443')
        const begun = clock.monotonic()
        call(connection)
        await clock.advance(20)
        cut.add('10.0.0.1')
        await clock.advance(700)
        cut.clear()
        await clock.advance(700)
        connection.close()
        return frames.map((frame) => frame.replace(/^\d+/, (at) => String(Number(at) - begun)))
      }
      assert.deepEqual(await run(), await run())
    })
  })
})
