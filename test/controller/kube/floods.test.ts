import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:tls'
import { ACCESS_ANNOTATION } from '../../../proto/objects/account-access.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { until } from '../../eventually.ts'
import { TestApiServer } from './test-api-server.ts'

const BASE = '/api/v1/namespaces/default'
const CONTEXT = { fieldManager: 'test' }
const LEVELS = {
  ordinary: { inFlight: 10, queueLength: 20, longRunning: 2 },
  system: { inFlight: 20, queueLength: 20, longRunning: 20 },
}

describe('Kubernetes face: floods', () => {
  let face: TestApiServer
  let hostile: string
  let victim: string

  before(async () => {
    // The face's own clock tells how long work takes.
    face = await TestApiServer.start({ admission: true, parts: { clock: systemClock, priorityLevels: LEVELS } })
    const tokenOf = async (name: string): Promise<string> => {
      await face.api.create<'ServiceAccount'>(
        {
          kind: 'ServiceAccount',
          metadata: { name, namespace: 'default', annotations: { [ACCESS_ANNOTATION]: 'edit' } },
        },
        CONTEXT,
      )
      await face.reads.current()
      return (await face.send('POST', `${BASE}/serviceaccounts/${name}/token`, { body: { spec: {} } })).json.status
        .token as string
    }
    hostile = await tokenOf('hostile')
    victim = await tokenOf('victim')
    await face.send('POST', `${BASE}/configmaps`, { body: { metadata: { name: 'c' }, data: { a: '1' } } })
  })
  after(() => face.stop())

  it('of heavy bodies let other users and timers come between', async () => {
    // Not an object that can be made: what it costs is to find that out.
    const heavy = JSON.stringify({
      metadata: { name: 'x' },
      data: Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`key/${index}`, 'v'])),
    })
    let [answered, ticks, going] = [0, 0, true]
    const tick = (): void => {
      ticks++
      if (going) systemClock.after(0, tick)
    }
    tick()
    const flood = Array.from({ length: 30 }, () =>
      face.send('POST', `${BASE}/configmaps`, { body: heavy, token: hostile }).then(({ status }) => {
        answered++
        return status
      }),
    )
    await Promise.race(flood)
    const before = ticks
    const { status } = await face.get(`${BASE}/configmaps/c`, { token: victim })
    const waiting = flood.length - answered
    going = false
    assert.equal(status, 200)
    assert.ok(waiting > 5, `the victim was answered when ${waiting} requests of the flood still waited`)
    assert.ok(ticks > before)
    assert.deepEqual([...new Set(await Promise.all(flood))], [422])
  })

  it('are refused with 429 beyond what may wait, and only to the user whose they are', async () => {
    // What is begun, and never sent to its end, stays under way.
    const held: IncomingMessage[] = []
    const begun = Array.from({ length: 40 }, () =>
      face.open('POST', `${BASE}/configmaps`, { body: 'x', token: hostile, headers: { 'Content-Length': '100' } }).then(
        (message) => void held.push(message),
        () => undefined,
      ),
    )
    while (held.length < 10) await new Promise(setImmediate)
    const [refused] = held
    assert.equal(refused!.statusCode, 429)
    assert.equal(refused!.headers['retry-after'], '1')
    const chunks: Buffer[] = []
    for await (const chunk of refused!) chunks.push(chunk as Buffer)
    const { reason, details } = JSON.parse(Buffer.concat(chunks).toString()) as {
      reason: string
      details: { retryAfterSeconds: number }
    }
    assert.deepEqual([reason, details.retryAfterSeconds], ['TooManyRequests', 1])
    assert.equal(
      held.every(({ statusCode }) => statusCode === 429),
      true,
    )
    assert.equal((await face.get(`${BASE}/configmaps/c`, { token: victim })).status, 200)
    assert.equal((await face.get(`${BASE}/configmaps/c`)).status, 200)
    face.disconnect()
    await Promise.all(begun)
    // What was held is free again.
    let status = 0
    while (status !== 200) status = (await face.get(`${BASE}/configmaps/c`, { token: hostile })).status
  })

  it('of watches are refused, and one that ends makes room', async () => {
    const open = (token: string) => face.open('GET', `${BASE}/configmaps?watch=1`, { token })
    const first = await open(hostile)
    assert.equal(first.statusCode, 200)
    assert.equal((await open(hostile)).statusCode, 200)
    assert.equal((await open(hostile)).statusCode, 429)
    assert.equal((await open(victim)).statusCode, 200)
    assert.equal((await face.get(`${BASE}/configmaps/c`, { token: hostile })).status, 200)
    first.destroy()
    let status = 0
    while (status !== 200) status = (await open(hostile)).statusCode!
    face.disconnect()
  })

  it('of requests that wait behind an answer leave nothing behind when their connection breaks', async () => {
    const [host, port] = face.address.split(':') as [string, string]
    const { ca } = await face.client('anna')
    const socket = connect({ host, port: Number(port), ca })
    await once(socket, 'secureConnect')
    const request = (path: string): string =>
      `GET ${BASE}/configmaps${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${hostile}\r\n\r\n`
    // The first answer never ends: the others have no place on the connection.
    const paths = ['?watch=1', '?watch=1', ...Array.from({ length: LEVELS.ordinary.inFlight }, () => '/c')]
    socket.write(paths.map(request).join(''))
    await once(socket, 'data')
    const watch = async (): Promise<number> => {
      const message = await face.open('GET', `${BASE}/configmaps?watch=1`, { token: hostile })
      message.destroy()
      return message.statusCode!
    }
    await until('all seats of watches are taken', async () => (await watch()) === 429)
    socket.destroy()
    await until('those seats are free', async () => (await watch()) === 200)
    assert.equal((await face.get(`${BASE}/configmaps/c`, { token: hostile })).status, 200)
    face.disconnect()
  })

  it('never reach the body of who may not do what is asked', async () => {
    const message = await face.open('POST', `${BASE}/secrets?x=${'y'.repeat(10)}`.replace('default', 'kube-system'), {
      body: 'x',
      token: victim,
      headers: { 'Content-Length': '1000000' },
    })
    assert.equal(message.statusCode, 403)
    assert.equal(
      (
        await face.open('POST', `${BASE}/configmaps`, {
          body: 'x',
          token: 'nobody',
          headers: { 'Content-Length': '1000000' },
        })
      ).statusCode,
      401,
    )
    face.disconnect()
  })
})
