/** What the light client makes of what a server says, right or wrong, frame by frame. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GantryError, type ErrorCode } from '../../../../proto/base/errors.ts'
import { encode } from '../../../../proto/codec/wire.ts'
import type { Connection } from '../../../../proto/rpc/contract.ts'
import { connect } from '../../../../proto/rpc/light/connect.ts'
import {
  encodeFrame,
  FAULT,
  FLAG,
  FRAME,
  FrameReader,
  SETTING,
  settingsPayload,
  uint32,
  type Frame,
} from '../../../../proto/rpc/light/frames.ts'
import { encodeHeaders } from '../../../../proto/rpc/light/hpack.ts'
import { MESSAGE_LIMIT } from '../../../../proto/rpc/methods.ts'
import { data, headers, message, ScriptedServer, settings, trailers, type Peer } from './scripted-server.ts'

const ANSWER = message(encode('WhyResponse', { summary: 'because' }))
const goAway = (last: number): Buffer => encodeFrame(FRAME.goAway, 0, 0, Buffer.concat([uint32(last), uint32(0)]))
const reset = (stream: number, fault: number): Buffer => encodeFrame(FRAME.resetStream, 0, stream, uint32(fault))

describe('the light client, told frame by frame', () => {
  let server: ScriptedServer
  let connection: Connection

  beforeEach(async () => {
    server = await ScriptedServer.start()
    connection = connect(server.address)
  })

  afterEach(async () => {
    connection.close()
    await server.stop()
  })

  /** A call, and what the server says to it. */
  async function call(answer: (peer: Peer, stream: number) => void): Promise<string> {
    const called = connection.client('Cluster').why({ namespace: 'a', pod: 'b' })
    called.catch(() => undefined)
    const peer = await server.peer()
    answer(peer, await peer.asked())
    return (await called).summary
  }

  const rightAnswers: Record<string, (stream: number) => readonly Buffer[]> = {
    'in one piece': (stream) => [headers(stream), data(stream, ANSWER), trailers(stream)],
    'byte by byte': (stream) => [
      headers(stream),
      ...[...ANSWER].map((byte) => data(stream, Buffer.of(byte))),
      trailers(stream),
    ],
    'with headers in two frames': (stream) => {
      const block = encodeHeaders([
        [':status', '200'],
        ['content-type', 'application/grpc'],
      ])
      return [
        encodeFrame(FRAME.headers, 0, stream, block.subarray(0, 3)),
        encodeFrame(FRAME.continuation, FLAG.endHeaders, stream, block.subarray(3)),
        data(stream, ANSWER),
        trailers(stream),
      ]
    },
    'with padding and a priority': (stream) => [
      encodeFrame(
        FRAME.headers,
        FLAG.endHeaders | FLAG.padded | FLAG.priority,
        stream,
        Buffer.concat([Buffer.of(3), Buffer.alloc(5), encodeHeaders([[':status', '200']]), Buffer.alloc(3)]),
      ),
      encodeFrame(FRAME.data, FLAG.padded, stream, Buffer.concat([Buffer.of(200), ANSWER, Buffer.alloc(200)])),
      trailers(stream),
    ],
    'after a hint, among frames of no concern': (stream) => [
      headers(stream, [[':status', '103']]),
      encodeFrame(FRAME.priority, 0, stream, Buffer.alloc(5)),
      encodeFrame(77, 0xff, stream, Buffer.from('?')),
      headers(stream),
      data(stream + 100, ANSWER),
      data(stream, ANSWER),
      trailers(stream),
    ],
    'with the end on an empty frame, and the status before it': (stream) => [
      headers(stream),
      data(stream, ANSWER),
      headers(stream, [['grpc-status', '0']]),
      encodeFrame(FRAME.data, FLAG.endStream, stream),
    ],
    'and gives up what is left of the request': (stream) => [
      headers(stream),
      data(stream, ANSWER),
      trailers(stream),
      reset(stream, FAULT.none),
    ],
    'and goes away': (stream) => [goAway(stream), headers(stream), data(stream, ANSWER), trailers(stream)],
  }
  for (const [how, frames] of Object.entries(rightAnswers))
    it(`takes an answer ${how}`, async () => {
      assert.equal(await call((peer, stream) => peer.send(...frames(stream))), 'because')
    })

  const failures: Record<string, [(stream: number) => readonly Buffer[], ErrorCode, RegExp]> = {
    'a status alone': [
      (stream) => [trailers(stream, [':status', '200'], ['grpc-status', '5'], ['grpc-message', 'no%20such%C3%A4'])],
      'NotFound',
      /^no suchä$/,
    ],
    'a message that is no percent-encoding': [
      (stream) => [trailers(stream, ['grpc-status', '7'], ['grpc-message', '100%'])],
      'Forbidden',
      /^100%$/,
    ],
    'a status that is none': [(stream) => [trailers(stream, ['grpc-status', '99'])], 'Internal', /^$/],
    'no status': [(stream) => [trailers(stream, ['x', 'y'])], 'Internal', /without a status/],
    'no answer': [(stream) => [headers(stream), trailers(stream)], 'Internal', /answered with nothing/],
    'half an answer': [
      (stream) => [headers(stream), data(stream, ANSWER.subarray(0, 8)), trailers(stream)],
      'Internal',
      /cut off/,
    ],
    'a compressed answer': [(stream) => [headers(stream), data(stream, message(ANSWER, 1))], 'Internal', /compressed/],
    'an answer that is too large': [
      (stream) => [headers(stream), data(stream, message(Buffer.alloc(0), 0, MESSAGE_LIMIT + 1))],
      'ResourceExhausted',
      /larger than/,
    ],
    'an answer that is no message': [
      (stream) => [headers(stream), data(stream, message(Buffer.from('nonsense')))],
      'Internal',
      /are not a WhyResponse/,
    ],
    'an answer of HTTP': [(stream) => [headers(stream, [[':status', '503']])], 'Unavailable', /HTTP status 503/],
    'a call that was not begun': [(stream) => [reset(stream, FAULT.refusedStream)], 'Unavailable', /HTTP\/2 error 7/],
    'a call that was given up': [(stream) => [headers(stream), reset(stream, FAULT.cancel)], 'Cancelled', /error 8/],
    'a fault of the server': [(stream) => [reset(stream, 2)], 'Internal', /error 2/],
    'a server that goes away': [(stream) => [goAway(stream - 1)], 'Unavailable', /going away/],
    'a frame that is too long': [
      (stream) => [headers(stream), data(stream, Buffer.alloc(1024 * 1024 + 1))],
      'Unavailable',
      /longer than was allowed/,
    ],
    'headers that another frame cuts off': [
      (stream) => [headers(stream, [], 0), data(stream, ANSWER)],
      'Unavailable',
      /cut off by another frame/,
    ],
    'a continuation of nothing': [
      (stream) => [encodeFrame(FRAME.continuation, FLAG.endHeaders, stream)],
      'Unavailable',
      /were not begun/,
    ],
    'headers without an end': [
      (stream) => [
        headers(stream, [], 0),
        ...Array.from({ length: 2 }, () => encodeFrame(FRAME.continuation, 0, stream, Buffer.alloc(1024 * 1024))),
      ],
      'Unavailable',
      /headers have more than/,
    ],
    'headers of a dynamic table': [
      (stream) => [encodeFrame(FRAME.headers, FLAG.endHeaders, stream, Buffer.of(0xc0))],
      'Unavailable',
      /static table/,
    ],
    'a push': [(stream) => [encodeFrame(FRAME.pushPromise, 4, stream, uint32(2))], 'Unavailable', /pushes/],
    'padding without a frame': [
      (stream) => [encodeFrame(FRAME.data, FLAG.padded, stream, Buffer.of(9, 1))],
      'Unavailable',
      /all padding/,
    ],
    'a reset that is cut off': [
      (stream) => [encodeFrame(FRAME.resetStream, 0, stream, Buffer.of(1))],
      'Unavailable',
      /a frame is cut off/,
    ],
  }
  for (const [what, [frames, code, text]] of Object.entries(failures))
    it(`fails with ${what}`, async () => {
      await assert.rejects(
        call((peer, stream) => peer.send(...frames(stream))),
        (thrown: unknown) => GantryError.is(thrown, code) && text.test(thrown.message),
      )
    })

  it('says what rule was broken, and connects anew for the next call', async () => {
    let first: Peer | undefined
    await assert.rejects(
      call((peer, stream) => {
        first = peer
        peer.send(data(stream, Buffer.alloc(1024 * 1024 + 1)))
      }),
    )
    assert.equal((await first!.next(FRAME.goAway)).payload.readUInt32BE(4), FAULT.protocol)
    assert.equal(
      await call((peer, stream) => peer.send(headers(stream), data(stream, ANSWER), trailers(stream))),
      'because',
    )
  })

  it('fails when the server closes the connection, or breaks it', async () => {
    for (const end of [(peer: Peer) => peer.socket.end(), (peer: Peer) => peer.socket.resetAndDestroy()])
      await assert.rejects(
        call((peer) => void end(peer)),
        (thrown: unknown) => GantryError.is(thrown, 'Unavailable'),
      )
  })

  it('answers when it is asked whether it is there', async () => {
    const called = connection.client('Cluster').why({})
    const peer = await server.peer()
    const stream = await peer.asked()
    peer.send(encodeFrame(FRAME.ping, 0, 0, Buffer.from('12345678')))
    const { flags, payload } = await peer.next(FRAME.ping)
    assert.deepEqual([flags, payload.toString()], [FLAG.acknowledged, '12345678'])
    peer.send(headers(stream), data(stream, ANSWER), trailers(stream))
    await called
  })

  it('asks from time to time whether the server is there, and gives it up when it does not answer', async () => {
    connection.close()
    connection = connect(server.address, undefined, { time: 10, timeout: 50 })
    const called = connection.client('Cluster').why({})
    called.catch(() => undefined)
    const peer = await server.peer()
    for (let time = 0; time < 3; time++) {
      const { payload } = await peer.next(FRAME.ping)
      peer.send(encodeFrame(FRAME.ping, FLAG.acknowledged, 0, payload))
    }
    await assert.rejects(
      called,
      (thrown: unknown) => GantryError.is(thrown, 'Unavailable') && /does not answer any more/.test(thrown.message),
    )
  })

  it('sends no more than the server takes, in frames no longer than it takes', async () => {
    const pod = 'x'.repeat(40_000)
    const peer = (async () => {
      const found = await server.peer()
      // As much as the server takes is known before the call begins: a second call sees it.
      found.send(settings(settingsPayload([[SETTING.initialWindowSize, 10]])))
      return found
    })()
    await connection.ready(5_000)
    const { stream } = await (async () => {
      const called = connection.client('Cluster').why({ pod })
      called.catch(() => undefined)
      return (await peer).next(FRAME.headers)
    })()
    const chunks: Frame[] = []
    chunks.push(await (await peer).next(FRAME.data))
    for (const more of [1, 5, 16_384, 30_000]) {
      ;(await peer).send(encodeFrame(FRAME.windowUpdate, 0, stream, uint32(more)))
      for (let left = more; left > 0 && chunks.at(-1)!.flags === 0; left -= chunks.at(-1)!.payload.length)
        chunks.push(await (await peer).next(FRAME.data))
    }
    assert.deepEqual(
      chunks.map(({ payload, flags }) => [payload.length, flags]),
      [
        [10, 0],
        [1, 0],
        [5, 0],
        [16_384, 0],
        [16_384, 0],
        [message(encode('WhyRequest', { pod })).length - 16_400 - 16_384, FLAG.endStream],
      ],
    )
  })

  it('gives the server room as it takes what comes, and none for what it does not take', async () => {
    const call = connection.client('Pods').logs({ pod: 'a' })[Symbol.asyncIterator]()
    const first = call.next()
    const peer = await server.peer()
    const stream = await peer.asked()
    const line = message(encode('LogsResponse', { data: Buffer.alloc(50_000) }))
    peer.send(headers(stream), ...Array.from({ length: 20 }, () => data(stream, line)))
    await first
    // All lines are there once the ping that follows them is answered: the first sixteen have made room.
    peer.send(encodeFrame(FRAME.ping, 0, 0, Buffer.alloc(8)))
    const room = [await peer.next(FRAME.windowUpdate), await peer.next(FRAME.windowUpdate)]
    assert.deepEqual(
      room.map((frame) => frame.stream),
      [stream, stream],
    )
    const before = room.reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0)
    assert.ok(before <= 17 * line.length, `room for ${before} bytes`)
    for (let taken = 1; taken < 20; taken++) await call.next()
    assert.equal((await peer.next(FRAME.windowUpdate)).stream, stream)
    await call.return?.()
    assert.equal((await peer.next(FRAME.resetStream)).payload.readUInt32BE(0), FAULT.cancel)
  })

  it('holds no more than it has given room for', async () => {
    const call = connection.client('Pods').logs({ pod: 'a' })[Symbol.asyncIterator]()
    const first = call.next()
    const peer = await server.peer()
    const stream = await peer.asked()
    const line = message(encode('LogsResponse', { data: Buffer.alloc(100_000) }))
    peer.send(headers(stream), ...Array.from({ length: 40 }, () => data(stream, line)))
    await first
    assert.equal((await peer.next(FRAME.goAway)).payload.readUInt32BE(4), FAULT.protocol)
    await assert.rejects(
      async () => {
        for (let result = await call.next(); result.done !== true;) result = await call.next()
      },
      (thrown: unknown) => GantryError.is(thrown, 'Unavailable') && /more than was allowed/.test(thrown.message),
    )
  })

  it('takes frames out of bytes however they are cut', () => {
    const frame = fc.tuple(fc.nat(9), fc.nat(255), fc.nat(1000), fc.uint8Array({ maxLength: 300 }))
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 400 })), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map((parts) => encodeFrame(...parts)))
        const reader = new FrameReader(300)
        const seen: Frame[] = []
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const end = at + (cuts[cut] ?? bytes.length)
          seen.push(...reader.push(bytes.subarray(at, end)))
          at = end
        }
        assert.deepEqual(
          seen.map(({ type, flags, stream, payload }) => [type, flags, stream, [...payload]]),
          frames.map(([type, flags, stream, payload]) => [type, flags, stream, [...payload]]),
        )
      }),
    )
  })
})
