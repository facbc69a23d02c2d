import assert from 'node:assert/strict'
import { constants } from 'node:http2'
import { parseMemberAddress } from '../../../../controller/store/grpc/address.ts'
import { Subchannel } from '../../../../controller/store/grpc/subchannel.ts'
import { MESSAGE_LIMIT, type GrpcTransport } from '../../../../controller/store/grpc/transport.ts'
import type { CallEnd } from '../../../../controller/store/grpc/unary-call.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import type { ErrorCode } from '../../../../proto/base/errors.ts'
import { seededRandom } from '../../../../proto/base/random.ts'
import { until } from '../../../eventually.ts'
import { FakeMember, framed, type FakeCall, type FakeMemberOptions } from './fake-member.ts'

const PATH = '/etcdserverpb.KV/Range'
const SECOND = 1_000

describe('a connection to a member', () => {
  let clock: FakeClock
  let member: FakeMember
  let subchannel: Subchannel
  let transport: GrpcTransport

  const connect = async (handle: (call: FakeCall) => void, options?: FakeMemberOptions): Promise<void> => {
    clock = new FakeClock()
    member = await FakeMember.start(handle, options)
    subchannel = new Subchannel({
      address: parseMemberAddress(member.endpoint),
      tls: undefined,
      clock,
      random: seededRandom(1),
    })
    transport = await subchannel.connect()
  }
  const ask = (request: Buffer = framed('question'), millis = 3 * SECOND): Promise<CallEnd> =>
    transport.unary(PATH, request, millis)
  const called = (times = 1): Promise<void> => until('the member is called', () => member.calls.length === times)
  /** The state before the events of a step were handled shows nothing: those of this connection pass by a question. */
  const heard = async (): Promise<void> => {
    const before = member.calls.length
    void ask()
    await called(before + 1)
  }
  const answered = (end: CallEnd, text: string): void => {
    assert.equal(end.is, 'answered')
    assert.equal((end as { message: Buffer }).message.toString(), text)
  }
  const failed = (end: CallEnd, code: ErrorCode, text?: RegExp): void => {
    assert.equal(end.is, 'failed')
    const { error } = end as Extract<CallEnd, { is: 'failed' }>
    assert.equal(error.code, code)
    if (text !== undefined) assert.match(error.message, text)
  }

  afterEach(async () => {
    subchannel.close()
    await member.stop()
    await until('the connection has ended', () => clock.pending === 0)
  })

  it('asks and is answered', async () => {
    await connect((call) =>
      call.stream.on('end', () => call.answer(`answer to ${call.request.subarray(5).toString()}`)),
    )
    answered(await ask(framed('one'), 2_500.4), 'answer to one')
    const [call] = member.calls
    const { ':method': method, ':path': path, ':authority': authority, ':scheme': scheme } = call!.headers
    assert.deepEqual(
      { method, path, authority, scheme },
      { method: 'POST', path: PATH, authority: member.endpoint, scheme: 'http' },
    )
    assert.equal(call!.headers['content-type'], 'application/grpc')
    assert.equal(call!.headers.te, 'trailers')
    assert.equal(call!.headers['grpc-timeout'], '2501m')
    const many = await Promise.all(Array.from({ length: 200 }, (_, index) => ask(framed(`${index}`))))
    many.forEach((end, index) => answered(end, `answer to ${index}`))
    assert.equal(member.connections, 1)
    assert.equal(clock.pending, 1, 'no more than the next look whether the member lives')
  })

  it('puts an answer together that comes in pieces, and takes an empty one', async () => {
    await connect((call) => {
      call.begin()
      const bytes = framed('in pieces')
      const send = (at: number): void => {
        if (at === bytes.length - 1) call.end(bytes.subarray(at), { 'grpc-status': '0' })
        else call.stream.write(bytes.subarray(at, at + 1), () => send(at + 1))
      }
      send(0)
    })
    answered(await ask(), 'in pieces')
    await member.stop()
    subchannel.close()
    await connect((call) => call.answer(''))
    answered(await ask(), '')
  })

  const endings: { what: string; handle: (call: FakeCall) => void; code: ErrorCode; text: RegExp }[] = [
    {
      what: 'a failure in the trailers',
      handle: (call) => {
        call.begin()
        call.end(framed('half the truth'), { 'grpc-status': '14', 'grpc-message': 'etcdserver: leader changed' })
      },
      code: 'Unavailable',
      text: /^etcd: etcdserver: leader changed$/,
    },
    {
      what: 'a failure and nothing else',
      handle: (call) => call.fail(11, 'etcdserver: mvcc: %22required revision has been compacted%22'),
      code: 'Expired',
      text: /^etcd: etcdserver: mvcc: "required revision has been compacted"$/,
    },
    {
      what: 'HTTP alone',
      handle: (call) => {
        call.stream.respond({ ':status': 503, 'content-type': 'text/html' })
        call.stream.end('<html>\0\0\0\0\x01a</html>')
      },
      code: 'Unavailable',
      text: /HTTP status 503/,
    },
    {
      what: 'HTTP alone that refuses who asks',
      handle: (call) => call.stream.respond({ ':status': 403 }, { endStream: true }),
      code: 'Forbidden',
      text: /HTTP status 403/,
    },
    {
      what: 'no status',
      handle: (call) => {
        call.stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
        call.stream.end(framed('message'))
      },
      code: 'Unavailable',
      text: /without a status/,
    },
    {
      what: 'OK without a message',
      handle: (call) => {
        call.begin()
        call.end(Buffer.alloc(0), { 'grpc-status': '0' })
      },
      code: 'Unavailable',
      text: /not one message/,
    },
    {
      what: 'two messages',
      handle: (call) => {
        call.begin()
        call.end(Buffer.concat([framed('one'), framed('two')]), { 'grpc-status': '0' })
      },
      code: 'Unavailable',
      text: /not one message/,
    },
    {
      what: 'half a message',
      handle: (call) => {
        call.begin()
        call.end(framed('half').subarray(0, 7), { 'grpc-status': '0' })
      },
      code: 'Unavailable',
      text: /not one message/,
    },
    {
      what: 'a message that is compressed',
      handle: (call) => {
        call.begin()
        call.end(Buffer.concat([Buffer.of(1), framed('x').subarray(1)]), { 'grpc-status': '0' })
      },
      code: 'Unavailable',
      text: /compressed/,
    },
  ]
  for (const { what, handle, code, text } of endings) {
    it(`fails by ${what}`, async () => {
      await connect(handle)
      failed(await ask(), code, text)
    })
  }

  it('refuses a message over the limit by its first bytes, and has done with the call', async () => {
    const prefix = framed('').fill(0)
    prefix.writeUInt32BE(MESSAGE_LIMIT + 1, 1)
    await connect((call) => {
      call.begin()
      call.stream.write(prefix)
    })
    failed(await ask(), 'ResourceExhausted', /larger than the limit/)
    await until('the member hears that it is given up', () => member.calls[0]!.rstCode === constants.NGHTTP2_CANCEL)
  })

  it('gives a call up when its time is over, and tells the member', async () => {
    await connect(() => undefined)
    const end = ask(framed('question'), 500)
    await called()
    await clock.advance(499)
    assert.equal(member.calls[0]!.rstCode, undefined)
    await clock.advance(1)
    assert.deepEqual((({ is, late }: { is: string; late?: boolean }) => ({ is, late }))(await end), {
      is: 'failed',
      late: true,
    })
    await until('the member hears that it is given up', () => member.calls[0]!.rstCode === constants.NGHTTP2_CANCEL)
    // An answer that comes all the same disturbs nobody.
    await heard()
  })

  it('fails when the member breaks a call in mid-answer, and when it breaks the connection', async () => {
    await connect((call) => {
      call.begin()
      call.stream.write(framed('the first half').subarray(0, 9))
    })
    const broken = ask()
    await called()
    member.calls[0]!.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    failed(await broken, 'Unavailable', /broke before the answer/)
    const cut = [ask(), ask()]
    await called(3)
    member.cut()
    for (const end of cut) failed(await end, 'Unavailable', /broke before the answer/)
    assert.ok(!transport.open)
    assert.equal((await ask()).is, 'refused')
  })

  it('knows that nothing happened when the member refuses the call', async () => {
    await connect((call) => call.stream.close(constants.NGHTTP2_REFUSED_STREAM))
    assert.equal((await ask()).is, 'refused')
    assert.ok(transport.open)
  })

  it('begins no call after a GOAWAY, and ends with the last one that was open', async () => {
    await connect(() => undefined)
    const [one, two] = [ask(), ask()]
    await called(2)
    member.session.goaway(constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1)
    await until('it hears so', () => !transport.open)
    assert.equal((await ask()).is, 'refused')
    const another = await subchannel.connect()
    assert.notEqual(another, transport)
    member.calls[0]!.answer('first')
    answered(await one, 'first')
    assert.equal(member.lines.size, 2)
    member.calls[1]!.answer('second')
    answered(await two, 'second')
    await until('the connection is ended', () => member.lines.size === 1)
  })

  it('knows by a GOAWAY which calls the member has not begun with', async () => {
    await connect(() => undefined)
    const [one, two] = [ask(), ask()]
    await called(2)
    member.session.goaway(constants.NGHTTP2_NO_ERROR, 1)
    assert.equal((await two).is, 'refused')
    member.calls[0]!.answer('first')
    answered(await one, 'first')
  })

  it('fails the calls of a connection that the member ends by an error', async () => {
    await connect(() => undefined)
    const end = ask()
    await called()
    member.session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 1)
    failed(await end, 'Unavailable')
  })

  describe('whose member hangs', () => {
    beforeEach(() => connect(() => undefined))

    it('asks by a ping, no sooner than a second after the call, and ends when that is not answered', async () => {
      const end = ask(framed('question'), 60 * SECOND)
      await called()
      member.hold()
      await clock.advance(999)
      assert.ok(!transport.silent)
      await clock.advance(1)
      assert.ok(transport.silent)
      await clock.advance(3 * SECOND)
      failed(await end, 'Unavailable')
      assert.ok(!transport.open)
    })

    it('goes on when the ping is answered, and asks again no sooner than after six seconds', async () => {
      const end = ask(framed('question'), 60 * SECOND)
      await called()
      await clock.advance(SECOND)
      await until('it is asked', () => member.pings === 1)
      await until('it has answered', () => !transport.silent)
      await clock.advance(5_999)
      assert.ok(!transport.silent)
      await clock.advance(1)
      await until('it is asked again', () => member.pings === 2)
      member.calls[0]!.answer('late')
      answered(await end, 'late')
    })

    it('asks whoever listens to a stream less often, and nobody without a call', async () => {
      const stream = transport.stream(PATH, {})
      await called()
      await clock.advance(9_999)
      assert.ok(!transport.silent)
      await clock.advance(1)
      await until('it is asked', () => member.pings === 1)
      await until('it has answered', () => !transport.silent)
      stream.cancel()
      await until('the stream has ended', () => member.calls[0]!.rstCode !== undefined)
      await clock.advance(60 * SECOND)
      assert.ok(!transport.silent)
      await heard()
      assert.equal(member.pings, 1)
    })
  })

  it('sends a large request as fast as the member takes it', async () => {
    await connect(() => undefined, { reads: false, settings: { initialWindowSize: 65_535 } })
    const large = framed(Buffer.alloc(3_000_000, 'x'))
    const end = ask(large)
    await called()
    await heard()
    const call = member.calls[0]!
    assert.ok(call.stream.readableLength < large.length / 2)
    call.stream.on('end', () => call.answer(String(call.request.length)))
    call.read()
    answered(await end, String(large.length))
  })

  it('takes a large answer', async () => {
    const large = Buffer.alloc(20_000_000, 'y')
    await connect((call) => call.answer(large))
    const end = await ask()
    assert.ok(large.equals((end as { message: Buffer }).message))
  })

  it('takes the answer of a member that does not want to read the request', async () => {
    await connect((call) => call.fail(8, 'grpc: received message larger than max'), { reads: false })
    failed(await ask(framed(Buffer.alloc(3_000_000))), 'ResourceExhausted', /larger than max/)
  })

  it('gives open calls their answers after it was closed', async () => {
    await connect(() => undefined)
    const end = ask()
    await called()
    subchannel.close()
    assert.equal((await ask()).is, 'refused')
    await assert.rejects(subchannel.connect(), { code: 'Unavailable' })
    member.calls[0]!.answer('at last')
    answered(await end, 'at last')
    await until('the connection is ended', () => member.lines.size === 0)
  })
})
