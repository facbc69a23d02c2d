import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { constants } from 'node:http2'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GrpcChannel, type ChannelOptions } from '../../../../controller/store/grpc/channel.ts'
import { createAuthority, issue, type KeyPair } from '../../../../deploy/ca.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import type { ErrorCode } from '../../../../proto/base/errors.ts'
import { seededRandom } from '../../../../proto/base/random.ts'
import { failsWith } from '../../../contract/store.ts'
import { until } from '../../../eventually.ts'
import { FakeMember, framed, type FakeCall, type FakeMemberOptions } from './fake-member.ts'

const TIMEOUT = 3_000
/** Milliseconds that pass at a time. */
const STEP = 25
const QUESTION = framed('question')

describe('calls to a cluster of etcd', () => {
  let clock: FakeClock
  let members: FakeMember[]
  let channel: GrpcChannel
  const others: (() => void)[] = []

  const start = async (
    handle: (call: FakeCall, index: number) => void,
    count: number,
    options?: FakeMemberOptions,
  ): Promise<void> => {
    members = await Promise.all(
      Array.from({ length: count }, (_, index) => FakeMember.start((call) => handle(call, index), options)),
    )
  }
  const open = (endpoints = members.map(({ endpoint }) => endpoint), tls?: ChannelOptions['tls']): void => {
    channel = new GrpcChannel({ endpoints, tls, timeout: TIMEOUT, clock, random: seededRandom(1) })
  }
  const ask = async (kind: 'read' | 'write' = 'read'): Promise<string> =>
    (await channel.call('/etcdserverpb.KV/Range', QUESTION, kind)).toString()
  /** Lets time pass until there is an answer, and not longer. */
  const inTime = async <T>(answer: Promise<T>): Promise<T> => {
    let settled = false
    const done = (): void => void (settled = true)
    answer.then(done, done)
    await until('it is settled', async () => {
      if (!settled) await clock.advance(STEP)
      return settled
    })
    return answer
  }
  const calls = (): number[] => members.map((member) => member.calls.length)
  const total = (): number => calls().reduce((sum, count) => sum + count)
  const called = (...counts: number[]): Promise<void> =>
    until(`they are called ${counts.join(', ')} times`, () => calls().every((count, index) => count === counts[index]))

  beforeEach(() => {
    clock = new FakeClock()
    members = []
  })
  afterEach(async () => {
    channel.close()
    await Promise.all(members.map((member) => member.stop()))
    for (const end of others.splice(0)) end()
    await until('nothing is left', () => clock.pending === 0)
  })

  it('stays with the member that answered, and goes to another when that is gone', async () => {
    await start((call, index) => call.answer(`${index}`), 3)
    open()
    const first = Number(await ask())
    for (let time = 0; time < 5; time++) assert.equal(Number(await ask()), first)
    await members[first]!.stop()
    const second = Number(await inTime(ask()))
    assert.notEqual(second, first)
    for (let time = 0; time < 5; time++) assert.equal(Number(await ask()), second)
  })

  describe('when the connection breaks in mid-answer', () => {
    beforeEach(async () => {
      await start((call, index) => {
        if (total() > 1) return call.answer('whole')
        call.begin()
        call.stream.write(framed('half').subarray(0, 7), () => members[index]!.cut())
      }, 2)
      open()
    })

    it('reads again', async () => {
      assert.equal(await inTime(ask('read')), 'whole')
      assert.equal(total(), 2)
    })

    it('does not write again: it may have happened', async () => {
      await assert.rejects(inTime(ask('write')), { code: 'Unavailable', message: /broke before the answer/ })
      assert.equal(total(), 1)
    })
  })

  const writes: { what: string; handle: (call: FakeCall, time: number) => void; times: number; code?: ErrorCode }[] = [
    {
      what: 'what the member refused before it began with it, again',
      handle: (call, time) =>
        time <= 3 ? call.stream.close(constants.NGHTTP2_REFUSED_STREAM) : call.answer('written'),
      times: 4,
    },
    {
      what: 'what timed out, once',
      handle: (call) => call.fail(14, 'etcdserver: request timed out'),
      times: 1,
      code: 'Unavailable',
    },
    {
      what: 'what broke, once',
      handle: (call) => call.stream.close(constants.NGHTTP2_INTERNAL_ERROR),
      times: 1,
      code: 'Unavailable',
    },
    {
      what: 'what is wrong, once',
      handle: (call) => call.fail(3, 'etcdserver: duplicate key'),
      times: 1,
      code: 'InvalidArgument',
    },
    { what: 'what may not be, once', handle: (call) => call.fail(7), times: 1, code: 'Forbidden' },
  ]
  for (const { what, handle, times, code } of writes) {
    it(`writes ${what}`, async () => {
      await start((call) => handle(call, members[0]!.calls.length), 1)
      open()
      const written = inTime(ask('write'))
      if (code === undefined) assert.equal(await written, 'written')
      else await assert.rejects(written, { code })
      assert.deepEqual(calls(), [times])
    })
  }

  it('asks another member when one has no leader, not as fast as it can say so', async () => {
    await start((call, index) => (index === 2 ? call.answer('two') : call.fail(14, 'etcdserver: no leader')), 3)
    open()
    assert.equal(await inTime(ask()), 'two')
    assert.equal(await ask(), 'two')
    channel.close()
    await Promise.all(members.map((member) => member.stop()))
    await start((call) => call.fail(14, 'etcdserver: no leader'), 2)
    open()
    const begun = clock.monotonic()
    await assert.rejects(inTime(ask()), { code: 'Unavailable', message: 'etcd: etcdserver: no leader' })
    const [one = 0, two = 0] = calls()
    assert.ok(one + two <= TIMEOUT / 50 && one > 10 && two > 10, `asked ${one} and ${two} times`)
    assert.ok(clock.monotonic() - begun <= TIMEOUT)
  })

  it('reads elsewhere, within the time, when a member hangs; a write fails in time, and the next goes elsewhere', async () => {
    await start((call, index) => call.answer(`${index}`), 2)
    for (const kind of ['read', 'write'] as const) {
      open()
      const hanging = Number(await ask())
      members[hanging]!.hold()
      const begun = clock.monotonic()
      const asked = inTime(ask(kind))
      if (kind === 'read') assert.equal(await asked, `${1 - hanging}`)
      else await assert.rejects(asked, failsWith('Unavailable'))
      assert.ok(clock.monotonic() - begun <= TIMEOUT)
      assert.equal(await inTime(ask(kind)), `${1 - hanging}`)
      members[hanging]!.release()
      channel.close()
    }
  })

  it('goes back to a member that hung when there is no other', async () => {
    await start((call, index) => call.answer(`${index}`), 2)
    open()
    const hanging = Number(await ask())
    await members[1 - hanging]!.stop()
    members[hanging]!.hold()
    await assert.rejects(inTime(ask('write')), failsWith('Unavailable'))
    members[hanging]!.release()
    assert.equal(await inTime(ask('write')), `${hanging}`)
  })

  it('uses no member that takes connections and says nothing', async () => {
    const silent: Server = createServer((socket: Socket) => void socket.on('error', () => undefined))
    silent.listen(0, '127.0.0.1')
    others.push(() => silent.close())
    await start((call) => call.answer('here'), 1)
    open([`127.0.0.1:${(silent.address() as AddressInfo).port}`, members[0]!.endpoint])
    assert.equal(await ask(), 'here')
    channel.close()
    open([`127.0.0.1:${(silent.address() as AddressInfo).port}`])
    await assert.rejects(inTime(ask()), { code: 'Unavailable', message: 'no etcd endpoint can be reached' })
    assert.equal(clock.monotonic(), TIMEOUT)
  })

  it('connects again when a member is back, and not all the time while it is away', async () => {
    await start((call) => call.answer('here'), 1)
    open()
    await ask()
    members[0]!.refuse()
    members[0]!.cut()
    await until('it is found out', () => members[0]!.lines.size === 0)
    const asked = ask()
    // What listens at its address meanwhile breaks off whatever comes.
    const port = Number(members[0]!.endpoint.split(':')[1])
    let tries = 0
    const refusing = createServer((socket) => {
      tries++
      socket.resetAndDestroy()
    })
    refusing.listen(port, '127.0.0.1')
    await until('several tries', async () => {
      await clock.advance(10)
      return clock.monotonic() >= 2_000
    })
    assert.ok(tries >= 2 && tries <= 10, `${tries} tries in ${clock.monotonic()} ms`)
    await new Promise((closed) => refusing.close(closed))
    await members[0]!.open()
    assert.equal(await inTime(asked), 'here')
  })

  it('fails in time when nobody can be reached', async () => {
    await start(() => undefined, 1)
    members[0]!.refuse()
    open()
    await assert.rejects(inTime(ask()), { code: 'Unavailable', message: 'no etcd endpoint can be reached' })
    assert.ok(clock.monotonic() <= TIMEOUT + STEP)
  })

  it('says of a write that found no room that the store is away, and of a read what it is', async () => {
    await start((call) => call.fail(8, 'etcdserver: mvcc: database space exceeded'), 1)
    open()
    await assert.rejects(ask('write'), {
      code: 'Unavailable',
      message: 'etcd: etcdserver: mvcc: database space exceeded',
    })
    await assert.rejects(ask('read'), failsWith('ResourceExhausted'))
    assert.deepEqual(calls(), [2])
  })

  it('gives calls under way their answers when it is closed, and takes no more', async () => {
    await start(() => undefined, 1)
    open()
    const asked = ask('write')
    await called(1)
    channel.close()
    await assert.rejects(ask(), failsWith('Unavailable'))
    await assert.rejects(channel.stream('/', {}), failsWith('Unavailable'))
    members[0]!.calls[0]!.answer('written')
    assert.equal(await asked, 'written')
    await until('the connection is ended', () => members[0]!.lines.size === 0)
  })

  it('stops trying when it is closed', async () => {
    await start(() => undefined, 1)
    members[0]!.refuse()
    open()
    const asked = ask()
    const rejected = assert.rejects(asked, failsWith('Unavailable'))
    await clock.advance(100)
    channel.close()
    await rejected
  })

  it('refuses an address that is none', () => {
    open(['unix:/run/etcd'])
    for (const endpoint of ['', 'host:port', 'http://', 'a/b'])
      assert.throws(
        () => new GrpcChannel({ endpoints: [endpoint], tls: undefined, timeout: 1, clock, random: seededRandom(1) }),
        failsWith('InvalidArgument'),
      )
    assert.throws(
      () => new GrpcChannel({ endpoints: [], tls: undefined, timeout: 1, clock, random: seededRandom(1) }),
      failsWith('InvalidArgument'),
    )
  })

  it('takes addresses with a scheme, without, and of sockets', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'gantry-channel-'))
    others.push(() => void rm(dir, { recursive: true, force: true }))
    await start((call) => call.answer(String(call.headers[':authority'])), 1)
    for (const endpoint of [
      members[0]!.endpoint,
      `http://${members[0]!.endpoint}`,
      `https://${members[0]!.endpoint}/`,
    ]) {
      open([endpoint])
      assert.equal(await ask(), members[0]!.endpoint)
      channel.close()
    }
    const port = members[0]!.endpoint.split(':')[1]
    open([`localhost:${port}`])
    assert.equal(await ask(), `localhost:${port}`)
    channel.close()
    members.push(await FakeMember.start((call) => call.answer('socket'), { path: join(dir, 'clients:0') }))
    for (const endpoint of [members[1]!.endpoint, `unix://${join(dir, 'clients:0')}`]) {
      open([endpoint])
      assert.equal(await ask(), 'socket')
      channel.close()
    }
  })

  describe('over TLS', () => {
    let authority: KeyPair
    let client: KeyPair
    let server: KeyPair
    before(async () => {
      const now = Date.now()
      authority = await createAuthority('test', now)
      client = await issue(authority, { commonName: 'controller' }, now)
      server = await issue(authority, { commonName: 'etcd', hosts: ['127.0.0.1'] }, now)
    })
    const keys = (own: KeyPair, ca = authority.cert): ChannelOptions['tls'] => ({
      ca: Buffer.from(ca),
      cert: Buffer.from(own.cert),
      key: Buffer.from(own.key),
    })
    const listen = (): Promise<void> =>
      start((call) => call.answer(String(call.headers[':scheme'])), 1, {
        tls: { cert: server.cert, key: server.key, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
      })

    it('shows its certificate', async () => {
      await listen()
      open(undefined, keys(client))
      assert.equal(await ask(), 'https')
    })

    it('is refused with a certificate of another authority, and refuses a server of one', async () => {
      await listen()
      const other = await createAuthority('other', Date.now())
      const stranger = await issue(other, { commonName: 'controller' }, Date.now())
      for (const tls of [keys(stranger), keys(client, other.cert)]) {
        open(undefined, tls)
        await assert.rejects(inTime(ask()), { code: 'Unavailable', message: 'no etcd endpoint can be reached' })
        channel.close()
      }
    })

    it('refuses a server with a certificate for another name', async () => {
      server = await issue(authority, { commonName: 'etcd', hosts: ['10.1.2.3'] }, Date.now())
      await listen()
      open(undefined, keys(client))
      await assert.rejects(inTime(ask()), failsWith('Unavailable'))
    })

    it('does not speak to one without TLS, nor without TLS to one that has it', async () => {
      await listen()
      open()
      await assert.rejects(inTime(ask()), failsWith('Unavailable'))
      channel.close()
      await start((call) => call.answer(''), 1)
      open(undefined, keys(client))
      await assert.rejects(inTime(ask()), failsWith('Unavailable'))
    })
  })
})
