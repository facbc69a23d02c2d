import assert from 'node:assert/strict'
import { connect as dial, createServer, type Server as TcpServer, type Socket } from 'node:net'
import { ClusterClient } from '../../proto/client/cluster.ts'
import type { Connect } from '../../proto/client/server-pool.ts'
import { watchWithRetry } from '../../proto/client/follow.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Connection, Handlers } from '../../proto/rpc/contract.ts'
import { connect } from '../../proto/rpc/light/connect.ts'
import { Server } from '../../proto/rpc/rpc.ts'
import { schema } from '../../proto/schema/schema.ts'
import { FakeClock, systemClock, type Clock } from '../../proto/base/clock.ts'
import type { ClusterService, ConfigMap, ResourcesService, Services } from '../../proto/gen/types.ts'
import { freePort } from '../integration/free-port.ts'
import { GrpcApiServer } from '../support/grpc-api-server.ts'

/** A service of which only these methods are there. */
function only<S extends keyof Services>(service: S, methods: Partial<Handlers<Services[S]>>): Handlers<Services[S]> {
  const names = schema.services[service]!.methods.map(({ name }) => name[0]!.toLowerCase() + name.slice(1))
  const missing = (): never => {
    throw new GantryError('Unsupported', 'not in this test')
  }
  return { ...Object.fromEntries(names.map((name) => [name, missing])), ...methods } as Handlers<Services[S]>
}

const VERSION = { version: '1', controller: 'c', leader: 'c', nodeVersion: '' }

describe('a context with several servers', () => {
  const ends: (() => Promise<unknown> | void)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  /**
   * On a clock that stands still the next server is greeted only when the one before has failed, however slow the
   * machine is.
   */
  function cluster(server: readonly string[], parts: { clock?: Clock; connect?: Connect } = {}): ClusterClient {
    const made = new ClusterClient({
      context: { name: 'test', server },
      credentials: undefined,
      connect,
      clock: new FakeClock(),
      signal: new AbortController().signal,
      timeout: 10_000,
      ...parts,
    })
    ends.push(() => made.close())
    return made
  }

  async function controller(): Promise<GrpcApiServer> {
    const server = await GrpcApiServer.start()
    ends.push(() => server.stop())
    return server
  }

  async function scripted(
    resources: Partial<Handlers<ResourcesService>>,
    rest: Partial<Handlers<ClusterService>> = {},
  ): Promise<string> {
    const server = new Server({ address: '127.0.0.1:0' })
    server.add('Resources', only('Resources', resources))
    server.add('Cluster', only('Cluster', { version: () => Promise.resolve(VERSION), ...rest }))
    ends.push(() => server.stop())
    return server.start()
  }

  /** Takes connections and says nothing, as the address of a machine behind a partition does not either. */
  async function silent(): Promise<string> {
    const sockets = new Set<Socket>()
    const server: TcpServer = createServer((socket) => void sockets.add(socket.on('error', () => socket.destroy())))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ends.push(() => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    })
    return `127.0.0.1:${(server.address() as { port: number }).port}`
  }

  /**
   * In front of a server: `goSilent` breaks what is connected and takes further connections without a word, as packets
   * to a machine that is off are lost without one.
   */
  async function mortal(address: string): Promise<{ address: string; goSilent: () => void }> {
    const sockets = new Set<Socket>()
    let alive = true
    const keep = (socket: Socket): Socket => {
      sockets.add(socket.on('error', () => socket.destroy()))
      return socket
    }
    const server = createServer((socket) => {
      keep(socket)
      if (alive) socket.pipe(keep(dial({ host: '127.0.0.1', port: Number(address.split(':')[1]) }))).pipe(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const cut = (): void => {
      for (const socket of sockets) socket.destroy()
      sockets.clear()
    }
    ends.push(() => {
      cut()
      return new Promise((resolve) => server.close(resolve))
    })
    return {
      address: `127.0.0.1:${(server.address() as { port: number }).port}`,
      goSilent: () => {
        alive = false
        cut()
      },
    }
  }

  const nobody = async (): Promise<string> => `127.0.0.1:${await freePort()}`
  const configMap = (name: string): ConfigMap => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default', uid: '', resourceVersion: '' },
  })
  const gone = (): Promise<never> => Promise.reject(new GantryError('Unavailable', 'the store is away'))

  it('passes over one that is down, also for a write', async () => {
    const server = await controller()
    await cluster([await nobody(), server.address]).create(configMap('a'))
    assert.notEqual(server.get('ConfigMap', 'a'), undefined)
  })

  it('does not wait for one that says nothing', async () => {
    const [mute, { address }] = [await silent(), await controller()]
    const clock = new FakeClock()
    const greeted: string[] = []
    const both = cluster([mute, address], {
      clock,
      connect: (...to) => {
        greeted.push(to[0])
        return connect(...to)
      },
    })
    const listed = both.list('Namespace', { namespace: '' })
    await clock.advance(300)
    assert.deepEqual(greeted, [mute, address])
    assert.equal((await listed).items.length, 1)
  })

  it('passes over one that answers that it cannot serve', async () => {
    const server = await controller()
    await cluster([await scripted({}, { version: gone }), server.address]).create(configMap('a'))
    assert.notEqual(server.get('ConfigMap', 'a'), undefined)
  })

  it('says of each what is wrong when none answers', async () => {
    const [down, mute] = [await nobody(), await silent()]
    await assert.rejects(cluster([down, mute]).list('Pod', { namespace: '' }), (error: GantryError) => {
      assert.equal(error.code, 'Unavailable')
      assert.equal(error.message, `${down} cannot be connected to; ${mute} does not answer within 1000 ms`)
      return true
    })
  })

  it('reads again elsewhere when the one in use is lost', async () => {
    const [one, two] = [await controller(), await controller()]
    const both = cluster([one.address, two.address])
    await one.put({ ...configMap('here') } as never)
    await two.put({ ...configMap('there') } as never)
    assert.deepEqual(
      (await both.list('ConfigMap', { namespace: 'default' })).items.map(({ metadata }) => metadata.name),
      ['here'],
    )
    await one.stop()
    assert.deepEqual(
      (await both.list('ConfigMap', { namespace: 'default' })).items.map(({ metadata }) => metadata.name),
      ['there'],
    )
  })

  it('goes elsewhere when the machine of the one in use has gone off', async () => {
    const [one, two] = [await controller(), await controller()]
    const first = await mortal(one.address)
    await two.put({ ...configMap('there') } as never)
    const connections: Connection[] = []
    const both = cluster([first.address, two.address], {
      connect: (...to) => {
        const connection = connect(...to)
        connections.push(connection)
        return connection
      },
    })
    assert.deepEqual((await both.list('ConfigMap', { namespace: 'default' })).items, [])
    const lost = new Promise<void>((resolve) => connections[0]!.onLost(resolve))
    first.goSilent()
    await lost
    await both.create(configMap('new'))
    assert.notEqual(two.get('ConfigMap', 'new'), undefined)
    assert.deepEqual(
      (await both.list('ConfigMap', { namespace: 'default' })).items.map(({ metadata }) => metadata.name).sort(),
      ['new', 'there'],
    )
  })

  it('applies again elsewhere, and creates only once, saying that it may have happened', async () => {
    const made: string[] = []
    const failing = await scripted({
      create: () => (made.push('create'), gone()),
      apply: () => (made.push('apply'), gone()),
    })
    const server = await controller()
    await cluster([failing, server.address]).apply('ConfigMap', 'default', 'a', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'a', namespace: 'default' },
    })
    assert.notEqual(server.get('ConfigMap', 'a'), undefined)
    await assert.rejects(
      cluster([failing, server.address]).create(configMap('b')),
      (error: GantryError) =>
        error.code === 'Unavailable' && /whether the change was made is not known/.test(error.details[0]?.remedy ?? ''),
    )
    assert.equal(server.get('ConfigMap', 'b'), undefined)
    assert.deepEqual(made, ['apply', 'create'])
  })

  it('follows on elsewhere', async () => {
    const [one, two] = [await controller(), await controller()]
    const stop = new AbortController()
    const both = cluster([one.address, two.address])
    await two.put({ ...configMap('there') } as never)
    const seen: string[] = []
    try {
      for await (const change of watchWithRetry(
        both,
        systemClock,
        'ConfigMap',
        { namespace: 'default' },
        '',
        stop.signal,
      )) {
        seen.push('object' in change ? `${change.type} ${change.object.metadata.name}` : change.type)
        if (seen.length === 1) await one.stop()
        if (seen.at(-1) === 'ADDED there') break
      }
    } finally {
      stop.abort()
    }
    assert.deepEqual(seen, ['BOOKMARK', 'RESTARTED', 'ADDED there'])
  })
})
